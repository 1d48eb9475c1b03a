"""`/v1/models`: model versions, the decisions about them, and the reports of the monitor."""

import json
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Query
from pydantic import Field

from db.monitoring.drift_reports import DriftReport, find_report, list_reports
from db.monitoring.night_decisions import decide_night
from db.registry.champions import Decision, list_decisions
from db.registry.versions import ModelVersion, list_models
from db.schema.states import ModelState, Verdict
from scheduler.api.context import Operator, Reader
from scheduler.api.job_documents import Reason
from scheduler.api.loop_documents import LoopPage
from scheduler.api.parameters import Document, JobId, Limit, NumberCursor, Page, PortfolioName, Version, problems
from scheduler.api.problems import Problem
from scheduler.api.strict_json import StrictRoute
from scheduler.errors import UsageError
from scheduler.reports.loop_documents import to_document
from scheduler.reports.loop_reading import cut_nights, read_loop_report
from scheduler.reports.model_card_files import read_card_file

router = APIRouter(prefix="/v1", tags=["models"])
nights_router = APIRouter(prefix="/v1", tags=["drift"], route_class=StrictRoute)
_ALL = 10_000

_VersionCursor = Annotated[
    str | None,
    Query(alias="cursor", description="`next_cursor` of the previous page.", pattern="^[0-9]{1,6}$", examples=["50"]),
]


class DecisionDocument(Document):
    """A decision about a model version, with all its figures."""

    decision: int | None = Field(examples=[1])
    action: str = Field(description="gate, or the action of a person or the trigger", examples=["gate"])
    at: datetime | None = Field(examples=["2026-11-24T21:59:03Z"])
    version: str = Field(examples=["m-3f9c2a"])
    against: str | None = Field(examples=[None])
    promoted: bool = Field(examples=[True])
    reason: str = Field(examples=["the first model of this portfolio"])
    by: str = Field(examples=["gate"])
    job: int | None = Field(examples=[1])
    figures: dict[str, Any] = Field(examples=[{"roc_auc": 0.83}])


class ModelDocument(Document):
    """One model version."""

    version: str = Field(examples=["m-3f9c2a"])
    portfolio: str = Field(examples=["customers"])
    state: ModelState = Field(examples=["champion"])
    job: int | None = Field(examples=[1])
    parent_version: str | None = Field(examples=[None])
    metrics: dict[str, Any] = Field(description="on held-out records", examples=[{"roc_auc": 0.83}])
    created_at: datetime = Field(examples=["2026-11-24T21:59:03Z"])


class ShownModelDocument(ModelDocument):
    """One model version with every decision about it."""

    reference: dict[str, Any] = Field(description="what nights are compared with", examples=[{"points": {"600": 12}}])
    decisions: list[DecisionDocument]


class ModelReportDocument(Document):
    """The model card of one version; its pictures are files of the bundle (`tidemark model report`)."""

    version: str = Field(examples=["m-3f9c2a"])
    card: dict[str, Any] = Field(examples=[{"title": "Customers", "held_out": {"rows": 6000}}])


class ModelPage(Page):
    """Model versions of a portfolio, newest first."""

    portfolio: str = Field(examples=["customers"])
    models: list[ModelDocument]


class DecisionPage(Page):
    """Decisions about a portfolio's models, newest first."""

    portfolio: str = Field(examples=["customers"])
    decisions: list[DecisionDocument]


class ReportDocument(Document):
    """The monitor's report about one scoring job."""

    job: int = Field(examples=[2])
    portfolio: str = Field(examples=["customers"])
    model_version: str = Field(examples=["m-3f9c2a"])
    verdict: Verdict = Field(examples=["stable"])
    figures: dict[str, Any] = Field(examples=[{"psi": 0.012}])
    created_at: datetime | None = Field(examples=["2026-11-24T21:59:03Z"])


class ReportPage(Page):
    """Reports of the monitor, newest first."""

    portfolio: str = Field(examples=["customers"])
    reports: list[ReportDocument]


class NightDecision(Reason):
    """Whether the pipeline of a night was broken, or its records are as they should be."""

    decision: Literal["broken", "honest"] = Field(examples=["honest"])


class NightDecisionDocument(Document):
    """What a night is since the decision."""

    job: int = Field(examples=[2])
    portfolio: str = Field(examples=["customers"])
    decision: Literal["broken", "honest"] = Field(examples=["honest"])
    verdict: Verdict = Field(examples=["watch"])
    unusable_reason: str | None = Field(description="why its scores are unusable", examples=[None])
    changed: bool = Field(examples=[True])


@router.get("/portfolios/{name}/models", response_model=ModelPage, responses=problems(404))
def list_of_portfolio(
    caller: Reader, name: PortfolioName, cursor: _VersionCursor = None, limit: Limit = 50
) -> ModelPage:
    """List a portfolio's model versions, newest first."""
    caller.portfolio(name)
    found, more = _cut(list_models(caller.engine, name), cursor, limit)
    return ModelPage(portfolio=name, models=[ModelDocument(**_values_of(one)) for one in found], next_cursor=more)


@router.get("/models/{version}", response_model=ShownModelDocument, responses=problems(404))
def show(caller: Reader, version: Version) -> ShownModelDocument:
    """Show one model version: figures on held-out records, reference, decisions."""
    model = caller.model(version)
    decided = [one for one in list_decisions(caller.engine, model.portfolio, limit=_ALL) if one.version == version]
    decisions = [_describe_decision(one) for one in decided]
    return ShownModelDocument(**_values_of(model), reference=model.reference, decisions=decisions)


@router.get("/models/{version}/report", response_model=ModelReportDocument, responses=problems(404))
def show_report(caller: Reader, version: Version) -> ModelReportDocument:
    """Return the model card: data, preparation, figures with intervals, calibration, segments, reasons, limits."""
    kept = caller.model(version).kept_as
    try:
        card = json.loads(read_card_file(caller.context.scheduler_settings.bundles_url, kept, "card.json"))
    except (UsageError, OSError, ValueError) as error:
        raise Problem(404, "not-found", f"model {version} has no readable report") from error
    return ModelReportDocument(version=version, card=card)


@router.get("/portfolios/{name}/decisions", response_model=DecisionPage, responses=problems(404))
def list_decided(caller: Reader, name: PortfolioName, cursor: _VersionCursor = None, limit: Limit = 50) -> DecisionPage:
    """List the decisions about a portfolio's models, newest first, with all their figures."""
    caller.portfolio(name)
    found, more = _cut(list_decisions(caller.engine, name, limit=_ALL), cursor, limit)
    return DecisionPage(portfolio=name, decisions=[_describe_decision(one) for one in found], next_cursor=more)


@router.get("/portfolios/{name}/loop", response_model=LoopPage, responses=problems(404))
def show_loop(caller: Reader, name: PortfolioName, cursor: NumberCursor = None, limit: Limit = 50) -> LoopPage:
    """Show all models over time: nights, outcomes, gains, costs, refusals, and what the loop does next."""
    report = read_loop_report(caller.engine, caller.portfolio(name))
    nights, more = cut_nights(report.nights, before=None if cursor is None else int(cursor), limit=limit)
    document = to_document(report, nights, next_cursor=None if more is None else str(more))
    return LoopPage.model_validate(document)


@router.get("/portfolios/{name}/drift", response_model=ReportPage, responses=problems(404), tags=["drift"])
def list_drift(caller: Reader, name: PortfolioName, cursor: NumberCursor = None, limit: Limit = 50) -> ReportPage:
    """List the monitor's reports about a portfolio, newest first."""
    caller.portfolio(name)
    reports = list_reports(caller.engine, name, limit=_ALL)
    found = [one for one in reports if cursor is None or one.job_id < int(cursor)]
    more = str(found[limit - 1].job_id) if len(found) > limit else None
    return ReportPage(portfolio=name, reports=[_describe_report(one) for one in found[:limit]], next_cursor=more)


@router.get("/jobs/{job_id}/drift", response_model=ReportDocument, responses=problems(404, 409), tags=["drift"])
def show_drift(caller: Reader, job_id: JobId) -> ReportDocument:
    """Show the monitor's report about one scoring job."""
    caller.job(job_id)
    report = find_report(caller.engine, job_id)
    if report is None:
        raise Problem(409, "state-conflict", f"the monitor has no report about job {job_id} yet")
    return _describe_report(report)


@nights_router.post(
    "/jobs/{job_id}/drift/decision",
    response_model=NightDecisionDocument,
    responses=problems(400, 404, 409, 413, 415),
)
def decide(caller: Operator, job_id: JobId, asked: Annotated[NightDecision, Body()]) -> NightDecisionDocument:
    """Decide about a night: `broken` marks its scores as unusable, `honest` removes the monitor's mark."""
    caller.job(job_id)
    decided = decide_night(caller.engine, job_id, is_broken=asked.decision == "broken", who=caller.who, why=asked.why)
    return NightDecisionDocument(
        job=decided.job_id,
        portfolio=decided.portfolio,
        decision=asked.decision,
        verdict=decided.verdict,
        unusable_reason=decided.unusable_reason,
        changed=decided.has_changed,
    )


def _cut(rows: list[Any], cursor: str | None, limit: int) -> tuple[list[Any], str | None]:
    """Return a page. The cursor counts from the oldest row, so that new rows do not shift the pages."""
    upto = len(rows) if cursor is None else min(int(cursor), len(rows))
    newest_first = rows[len(rows) - upto :]
    return newest_first[:limit], str(upto - limit) if upto > limit else None


def _values_of(model: ModelVersion) -> dict[str, Any]:
    names = ("version", "portfolio", "state", "parent_version", "metrics", "created_at")
    return {name: getattr(model, name) for name in names} | {"job": model.job_id}


def _describe_decision(one: Decision) -> DecisionDocument:
    return DecisionDocument(
        decision=one.id,
        action=one.action or "gate",
        at=one.created_at,
        version=one.version,
        against=one.against_version,
        promoted=one.promoted,
        reason=one.reason,
        by=one.decided_by,
        job=one.job_id,
        figures=one.figures,
    )


def _describe_report(report: DriftReport) -> ReportDocument:
    names = ("portfolio", "model_version", "verdict", "figures", "created_at")
    return ReportDocument(job=report.job_id, **{name: getattr(report, name) for name in names})
