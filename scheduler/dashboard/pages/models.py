"""`/portfolios/{name}/models`, `/models/{version}`: model versions, decisions about them, and their model cards."""

import json
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse, Response

from db.connections.engine import reading
from db.events.event_log import list_portfolio_events
from db.registry.champions import Decision, list_decisions
from db.registry.versions import ModelVersion, list_models
from db.retraining.promotion import find_doubts, is_held
from db.schema.states import ModelState
from scheduler.api.context import Caller
from scheduler.api.parameters import PortfolioName, Version
from scheduler.dashboard.access import Reader
from scheduler.dashboard.rendering import show
from scheduler.errors import UsageError
from scheduler.reports.decision_pages import MARKS, flatten, list_facts, name_action, tell_outcome
from scheduler.reports.model_card_files import list_card_files, read_card_file

router = APIRouter()

_MOST_DECISIONS, _MOST_EVENTS = 50, 30
_PICTURES = {
    "distribution.png": "Points of held-out records",
    "calibration.png": "Calibration on held-out records",
    "ranking.png": "ROC curve, precision and recall",
    "importance.png": "Importance of the columns",
}


@dataclass(frozen=True)
class ShownDecision:
    """A decision for the page: person, action, checks, every figure."""

    id: int | None
    version: str
    action: str
    outcome: str
    reason: str
    facts: list[tuple[str, Any]]
    checks: list[tuple[str, str, str]]
    numbers: list[tuple[str, Any]]


@dataclass(frozen=True)
class Report:
    """A model's card: the document, and the names of its pictures with what they show."""

    card: dict[str, Any]
    pictures: dict[str, str]

    @property
    def calibration(self) -> list[tuple[Any, ...]]:
        """Records, predicted and observed share of each tenth."""
        return [(one["rows"], one["predicted"], one["observed"]) for one in self.card["calibration_curve"]]

    @property
    def distribution(self) -> list[tuple[Any, ...]]:
        """Good and bad records by points."""
        return [(f"{one['from']} to {one['to']}", one["good"], one["bad"]) for one in self.card["score_distribution"]]

    @property
    def importance(self) -> list[tuple[Any, ...]]:
        """Columns with their importance, the largest first; empty if no reasons were fitted."""
        return [(one["code"], one["importance"]) for one in (self.card["reasons"] or {}).get("importance", ())]


@router.get("/portfolios/{name}/models")
def show_models(request: Request, visitor: Reader, name: PortfolioName) -> HTMLResponse:
    """Show champion and challengers, decisions, and events."""
    caller = visitor.caller
    portfolio = caller.portfolio(name)
    models = sorted(list_models(caller.engine, name), key=lambda one: one.state is not ModelState.CHAMPION)
    decisions = [_show(one) for one in list_decisions(caller.engine, name, limit=_MOST_DECISIONS)]
    with reading(caller.engine) as connection:
        doubts = find_doubts(connection, name)
    return show(
        request,
        visitor,
        "models.html",
        portfolio=portfolio,
        models=models,
        doubts=doubts,
        champion=next((one for one in models if one.state is ModelState.CHAMPION), None),
        decisions=decisions,
        held=is_held(caller.engine, name),
        events=list_portfolio_events(caller.engine, name, limit=_MOST_EVENTS),
    )


@router.get("/models/{version}")
def show_model(request: Request, visitor: Reader, version: Version) -> HTMLResponse:
    """Show one version with its report."""
    caller = visitor.caller
    model = caller.model(version)
    of_portfolio = list_decisions(caller.engine, model.portfolio, limit=10_000)
    decisions = [_show(one) for one in of_portfolio if one.version == version]
    metrics = list(flatten(model.metrics))
    report, missing = _find_report(caller, model)
    values = {"decisions": decisions, "metrics": metrics, "report": report, "missing": missing}
    return show(request, visitor, "model.html", portfolio=caller.portfolio(model.portfolio), model=model, **values)


@router.get("/models/{version}/card/{name}")
def send_picture(
    visitor: Reader, version: Version, name: Annotated[str, Path(pattern=r"^[a-z]{1,30}\.(png|md|json)$")]
) -> Response:
    """Send a file of a model's card."""
    kept = visitor.caller.model(version).kept_as
    content = read_card_file(visitor.caller.context.scheduler_settings.bundles_url, kept, name)
    kinds = {"png": "image/png", "md": "text/markdown; charset=utf-8", "json": "application/json"}
    ending = name.rpartition(".")[2]
    headers = {} if ending == "png" else {"Content-Disposition": f'attachment; filename="{version}-{name}"'}
    return Response(content, headers=headers, media_type=kinds[ending])


def _show(decision: Decision) -> ShownDecision:
    checks = [(one["name"], MARKS[one["passed"]], one["said"]) for one in decision.figures.get("checks", [])]
    summary = (name_action(decision), tell_outcome(decision), decision.reason)
    numbers = list(flatten(decision.figures))
    return ShownDecision(decision.id, decision.version, *summary, list_facts(decision), checks, numbers)


def _find_report(caller: Caller, model: ModelVersion) -> tuple[Report | None, str | None]:
    """Return the model card, or why there is none."""
    bundles = caller.context.scheduler_settings.bundles_url
    try:
        names = list_card_files(bundles, model.kept_as)
        card = json.loads(read_card_file(bundles, model.kept_as, "card.json"))
    except UsageError as error:
        # Not everybody who may see a model may know where its bundle is stored.
        return None, "its bundle is missing" if "is missing" in str(error) else str(error)
    except (OSError, ValueError):
        return None, "its bundle cannot be read"
    return Report(card, {name: said for name, said in _PICTURES.items() if name in names}), None
