"""Checks that requests can be carried out, and stores the job in one transaction."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any

from db.connections.engine import Engine
from db.errors import KeySecretMissingError, NotFoundError
from db.ledger.job_lifecycle import JobRequest, submit_job
from db.portfolios.catalog import get_portfolio
from db.portfolios.definition import PortfolioDefinition, Source
from db.portfolios.monitoring_policy import NIGHT_OPTION
from db.portfolios.retraining_policy import RetrainingPolicy
from db.privacy.key_secret import require_key_secret
from db.registry.champions import get_champion
from db.registry.versions import ModelVersion, find_model_of, get_model
from db.schema.states import PRIORITIES, JobKind, JobTask
from db.settings import DatabaseSettings
from db.sources.event_table import check_all_events
from db.sources.source_table import check_source, count_records
from scheduler.errors import UsageError
from scheduler.loop.shard_planning import SHARD_ROWS, ranges_per_shard, values_per_record


@dataclass(frozen=True)
class Request:
    """The sender of a request; the same idempotency key returns the same job; `priority` is one of `PRIORITIES`."""

    who: str
    idempotency_key: str | None = None
    priority: str = "normal"

    @property
    def rank(self) -> int:
        """The priority as a number; smaller is more urgent. Raises `UsageError`."""
        if self.priority not in PRIORITIES:
            raise UsageError(f"--priority expects one of {', '.join(PRIORITIES)}; got {self.priority!r}")
        return PRIORITIES[self.priority]


def submit_scoring(
    engine: Engine,
    portfolio: str,
    request: Request,
    *,
    model: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> int:
    """Submit a job that scores the whole book with a model version (default: the champion); return its id.

    The version is pinned now: a promotion during the job changes nothing. Raises `UsageError` without a model, and what
    `db` raises for an unknown portfolio or a source that lacks a column. Options that are understood: `night`, the
    date that the records are of, and `reasons`: False stores no reason codes.
    """
    version, given = _checked_version(engine, portfolio, model), dict(options or {})
    _check_night(given.get(NIGHT_OPTION))
    key, rank, is_champion = request.idempotency_key, request.rank, model is None
    asked = JobRequest(
        JobKind.SCORING, portfolio, request.who, given, version, key, rank, asks_for_champion=is_champion
    )
    return submit_job(engine, asked)


def check_scoring(engine: Engine, portfolio: str, *, model: str | None, shard_rows: int | None) -> dict[str, Any]:
    """Check a scoring request as `submit_scoring` does, and return what the job would do; nothing is stored."""
    version = _checked_version(engine, portfolio, model)
    source = get_portfolio(engine, portfolio).definition.source
    records = count_records(engine, Source(portfolio, source))
    ranges = -(-records // (shard_rows or SHARD_ROWS))
    model_definition = get_model(engine, version).definition
    shards = ranges if shard_rows else len(ranges_per_shard(ranges, values_per_record(model_definition)))
    return {
        "portfolio": portfolio,
        "source": source,
        "model_version": version,
        "inputs": records,
        "shards": shards,
    }


def submit_training(
    engine: Engine, portfolio: str, request: Request, *, options: Mapping[str, Any] | None = None
) -> int:
    """Submit a training job; return its id.

    The options are those of `tidemark train`, such as `hold` (do not promote the result). Raises
    `UsageError` where they exclude each other.
    """
    given = dict(options or {})
    if given.get("size") is not None and given.get("from") is not None:
        raise UsageError("--size and --from exclude each other, because a network keeps its width; use only one")
    if given.get("quick"):
        taken = [name for name in ("folds", "epochs", "seeds", "time_limit") if given.get(name) is not None]
        if taken:
            raise UsageError(f"--quick and --{taken[0].replace('_', '-')} exclude each other; use only one")
    definition = get_portfolio(engine, portfolio).definition
    if definition.target is None:
        raise UsageError(f"portfolio {portfolio} has no target, so no model can be trained; add: target = COLUMN")
    check_source(engine, definition.records, (*definition.own_columns, *definition.input_columns))
    check_all_events(engine, definition)
    key, rank = request.idempotency_key, request.rank
    return submit_job(engine, JobRequest(JobKind.TRAINING, portfolio, request.who, given, None, key, rank))


def submit_replay(
    engine: Engine, portfolio: str, request: Request, *, start: date, policy: RetrainingPolicy | None, quick: bool
) -> int:
    """Submit a job that plays the loop over the stored past from a date on; return its id. It changes no model."""
    asked = {"from": start.isoformat(), "quick": quick, "policy": None if policy is None else asdict(policy)}
    return submit_training(engine, portfolio, request, options={"replay": asked})


def submit_comparison(engine: Engine, first: str, second: str, request: Request) -> int:
    """Submit a job that compares two versions of a portfolio on records that both held out; return its id."""
    models = [get_model(engine, version) for version in (first, second)]
    portfolio = models[0].portfolio
    if models[1].portfolio != portfolio:
        raise UsageError(f"{first} is a model of {portfolio}, {second} of {models[1].portfolio}: no records in common")
    asked = {"versions": [first, second]}
    return submit_job(engine, _monitoring(JobTask.COMPARISON, portfolio, asked, request))


def submit_scrubbing(engine: Engine, version: str, request: Request) -> int:
    """Submit a job that rewrites a version's bundle without personal records; return its id."""
    asked = {"version": version}
    return submit_job(engine, _monitoring(JobTask.SCRUB, get_model(engine, version).portfolio, asked, request))


def _monitoring(task: JobTask, portfolio: str, options: dict[str, Any], request: Request) -> JobRequest:
    key, rank = request.idempotency_key, request.rank
    return JobRequest(JobKind.MONITORING, portfolio, request.who, options, None, key, rank, task=task)


def _check_night(night: str | None) -> None:
    try:
        if night is not None and date.fromisoformat(night).isoformat() == night:
            return
    except ValueError:
        pass
    if night is not None:
        raise UsageError(f"expected the night as a date such as 2026-11-25, got {night!r}")


def _checked_version(engine: Engine, portfolio: str, model: str | None) -> str:
    definition = get_portfolio(engine, portfolio).definition
    if definition.privacy.hashed_keys:
        _require_key_secret(engine, definition)
    version = model or _champion_of(engine, portfolio)
    wanted = find_model_of(engine, portfolio, version)
    if wanted is None:  # of another portfolio, or of none: the caller may not know which
        advice = f"portfolio {portfolio} has no such version; list its versions with: tidemark model list {portfolio}"
        raise NotFoundError("model version", version, advice=advice)
    require_same_events(definition, wanted)
    moment = definition.moment_column if wanted.definition.events else None
    columns = (*wanted.definition.input_columns, *(() if moment is None else (moment,)))
    check_source(engine, definition.records, (definition.key, *columns))
    read = {one.name for one in wanted.definition.events}
    check_all_events(engine, replace(definition, events=tuple(one for one in definition.events if one.name in read)))
    return version


def require_same_events(definition: PortfolioDefinition, model: ModelVersion) -> None:
    """Raise `UsageError` if the portfolio no longer has the events, or a column of them, that a model reads."""
    there = {one.name: one.columns for one in definition.events}
    for events in model.definition.events:
        own = there.get(events.name)
        missing = None if own is None else next((name for name in events.columns if name not in own), None)
        if own is not None and missing is None:
            continue
        what = f"the events {events.name}" if own is None else f"the column {missing} of the events {events.name}"
        raise UsageError(
            f"the model {model.version} reads {what}, which the portfolio {definition.name} no longer has. Restore it "
            f"in the portfolio file, or train a new model with: tidemark train {definition.name}"
        )


def _require_key_secret(engine: Engine, definition: PortfolioDefinition) -> None:
    try:
        require_key_secret(engine, definition, DatabaseSettings().key_secret_text)
    except KeySecretMissingError as error:
        raise UsageError(str(error)) from None


def _champion_of(engine: Engine, portfolio: str) -> str:
    champion = get_champion(engine, portfolio)
    if champion is None:
        raise UsageError(f"portfolio {portfolio} has no champion yet; train one with: tidemark train {portfolio}")
    return champion.version
