"""The history of a portfolio's loop, for its page: models, nights with their outcomes, trainings, decisions, events.

Each list holds the newest rows up to a limit, so that the page of an old portfolio stays as quick as that of a new one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Select, select

from db.connections.engine import reading
from db.portfolios.monitoring_policy import MonitoringPolicy
from db.schema.core_tables import events, jobs
from db.schema.model_tables import decisions, model_versions
from db.schema.monitoring_tables import drift_reports
from db.schema.retraining_tables import vintages
from db.schema.states import USED, JobKind, JobState, JobTask, ModelState, Verdict

MOST_NIGHTS, MOST_MODELS, MOST_TRAININGS, MOST_DECISIONS, MOST_EVENTS = 2_000, 500, 1_000, 2_000, 500
_TRAINS = (JobKind.TRAINING, JobKind.FINE_TUNING)
# Jobs that train, judge or watch. A replay of the past is a training job too, but changes no model.
IS_OF_LOOP = jobs.c.kind.in_(_TRAINS) & jobs.c.options["replay"].as_string().is_(None)

_Row = TypeVar("_Row")


@dataclass(frozen=True)
class LoopModel:
    """One model version, without its definition and its reference."""

    version: str
    state: ModelState
    job_id: int | None
    parent_version: str | None
    replaced_by: str | None
    metrics: dict[str, Any]
    learned_records: int | None
    created_at: datetime


@dataclass(frozen=True)
class LoopNight:
    """One finished scoring job: what its scores predicted, and what is known of its outcomes.

    `expected` holds the monitor's estimates for all records. `figures` are those of the records with an outcome.
    """

    job_id: int
    date: str
    created_at: datetime
    model_version: str
    scored: int
    unusable_reason: str | None
    verdict: Verdict | None
    expected: dict[str, Any]
    outcomes: int
    bad: int
    figures: dict[str, Any]
    trust: str | None
    trust_reason: str | None

    @property
    def is_trusted(self) -> bool:
        """Whether its outcomes may be learned from; those that nobody has judged yet may."""
        return self.trust is None or self.trust in USED


@dataclass(frozen=True)
class LoopTraining:
    """One job that trained a model, judged one again or watched the champion; `subject` is the night behind it."""

    job_id: int
    task: JobTask
    state: JobState
    requested_by: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    detail: str | None
    subject: int | None
    options: dict[str, Any]
    result: dict[str, Any]

    @property
    def seconds(self) -> float | None:
        """Seconds from the first claim by a worker to the end; None before the end."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()


@dataclass(frozen=True)
class LoopDecision:
    """One decision about a version, with the gate's checks. `made` says how the version was made, if it is known."""

    id: int
    at: datetime
    action: str
    version: str
    against: str | None
    promoted: bool
    reason: str
    by: str
    job_id: int | None
    made: str | None
    checks: list[dict[str, Any]]


@dataclass(frozen=True)
class LoopEvent:
    """An alert of the trigger, a request for a training, a hold or a release."""

    at: datetime
    event: str
    who: str
    why: str
    job_id: int | None


@dataclass(frozen=True)
class LoopHistory:
    """Everything known about a portfolio's loop, oldest first; `left_out` names the lists that were cut."""

    models: list[LoopModel]
    nights: list[LoopNight]
    trainings: list[LoopTraining]
    decisions: list[LoopDecision]
    events: list[LoopEvent]
    left_out: tuple[str, ...] = ()


def read_loop_history(
    engine: Engine, portfolio: str, policy: MonitoringPolicy, *, most_nights: int = MOST_NIGHTS
) -> LoopHistory:
    """Return the history of a portfolio, in five statements; `policy` gives each night its date."""
    with reading(engine) as connection:
        newest = _Newest(connection)
        return LoopHistory(
            models=newest.read("models", _select_models(portfolio), MOST_MODELS, _as_model),
            nights=newest.read("nights", _select_nights(portfolio), most_nights, lambda row: _as_night(row, policy)),
            trainings=newest.read("trainings", _select_trainings(portfolio), MOST_TRAININGS, _as_training),
            decisions=newest.read("decisions", _select_decisions(portfolio), MOST_DECISIONS, _as_decision),
            events=newest.read("events", _select_events(portfolio), MOST_EVENTS, lambda row: LoopEvent(*row)),
            left_out=tuple(newest.cut),
        )


class _Newest:
    """Reads the newest rows of statements that are ordered newest first, and remembers which had more."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.cut: list[str] = []

    def read(self, name: str, statement: Select[Any], most: int, as_value: Callable[[Any], _Row]) -> list[_Row]:
        rows = self._connection.execute(statement.limit(most + 1)).all()
        if len(rows) > most:
            self.cut.append(name)
        return [as_value(row) for row in reversed(rows[:most])]


def _select_models(portfolio: str) -> Select[Any]:
    columns = [model_versions.c[name] for name in LoopModel.__dataclass_fields__]
    order = (model_versions.c.created_at.desc(), model_versions.c.version.desc())
    return select(*columns).where(model_versions.c.portfolio == portfolio).order_by(*order)


def _as_model(row: Any) -> LoopModel:
    values: dict[str, Any] = dict(row._mapping)
    values |= {"state": ModelState(row.state), "metrics": row.metrics or {}}
    return LoopModel(**values)


def _select_nights(portfolio: str) -> Select[Any]:
    own = [jobs.c[name] for name in ("id", "options", "created_at", "model_version", "scored", "unusable_reason")]
    known = [vintages.c[name] for name in ("outcomes", "bad", "figures", "trust", "trust_reason")]
    expected = drift_reports.c.figures["expected"].label("expected")
    statement = select(*own, drift_reports.c.verdict, expected, *known)
    # With the portfolio, so that the index of the reports answers.
    is_report = (drift_reports.c.portfolio == jobs.c.portfolio) & (drift_reports.c.job_id == jobs.c.id)
    statement = statement.outerjoin(drift_reports, is_report)
    statement = statement.outerjoin(vintages, vintages.c.job_id == jobs.c.id)
    is_night = (jobs.c.portfolio == portfolio, jobs.c.kind == JobKind.SCORING, jobs.c.state == JobState.DONE)
    return statement.where(*is_night).order_by(jobs.c.id.desc())


def _as_night(row: Any, policy: MonitoringPolicy) -> LoopNight:
    return LoopNight(
        job_id=row.id,
        date=policy.date_of(row.options, row.created_at).isoformat(),
        created_at=row.created_at,
        model_version=row.model_version,
        scored=row.scored,
        unusable_reason=row.unusable_reason,
        verdict=None if row.verdict is None else Verdict(row.verdict),
        expected=row.expected or {},
        outcomes=row.outcomes or 0,
        bad=row.bad or 0,
        figures=row.figures or {},
        trust=row.trust,
        trust_reason=row.trust_reason,
    )


def _select_trainings(portfolio: str) -> Select[Any]:
    names = ("id", "task", "state", "requested_by", "created_at", "started_at", "finished_at", "detail")
    columns = [jobs.c[name] for name in (*names, "subject_job_id", "options", "result")]
    is_training = (jobs.c.portfolio == portfolio, IS_OF_LOOP)
    return select(*columns).where(*is_training).order_by(jobs.c.id.desc())


def _as_training(row: Any) -> LoopTraining:
    names = ("requested_by", "created_at", "started_at", "finished_at", "detail")
    values: dict[str, Any] = {name: getattr(row, name) for name in names}
    values |= {"job_id": row.id, "task": JobTask(row.task), "state": JobState(row.state)}
    values |= {"subject": row.subject_job_id, "options": row.options or {}, "result": row.result or {}}
    return LoopTraining(**values)


def _select_decisions(portfolio: str) -> Select[Any]:
    names = ("id", "created_at", "action", "version", "against_version", "promoted", "reason", "decided_by", "job_id")
    figures = [decisions.c.figures[name].label(name) for name in ("made", "checks", "job")]
    columns = [decisions.c[name] for name in names]
    return select(*columns, *figures).where(decisions.c.portfolio == portfolio).order_by(decisions.c.id.desc())


def _as_decision(row: Any) -> LoopDecision:
    return LoopDecision(
        id=row.id,
        at=row.created_at,
        action=row.action or "gate",
        version=row.version,
        against=row.against_version,
        promoted=row.promoted,
        reason=row.reason,
        by=row.decided_by,
        job_id=row.job_id or row.job,
        made=row.made,
        checks=row.checks or [],
    )


def _select_events(portfolio: str) -> Select[Any]:
    columns = [events.c[name] for name in LoopEvent.__dataclass_fields__]
    is_of_loop = (events.c.portfolio == portfolio, events.c.event.like("retraining.%"))
    return select(*columns).where(*is_of_loop).order_by(events.c.id.desc())
