"""A person's decision about a night: was its pipeline broken? The report keeps what the monitor said."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, select, update

from db.connections.engine import writing
from db.errors import NotFoundError, StateConflictError
from db.events.event_log import record_event
from db.monitoring.unusable_nights import clear_unusable, mark_unusable
from db.schema.core_tables import jobs
from db.schema.monitoring_tables import drift_reports
from db.schema.states import JobKind, Verdict

DECISION = "decision"  # in a report's figures
BROKEN, HONEST = "broken", "honest"


@dataclass(frozen=True)
class NightDecision:
    """What was decided, and what the night is since; `has_changed` is False where all of it was so before."""

    job_id: int
    portfolio: str
    decision: str
    verdict: Verdict
    unusable_reason: str | None
    has_changed: bool


def decide_night(engine: Engine, job_id: int, *, is_broken: bool, who: str, why: str) -> NightDecision:
    """Decide that a night's pipeline was broken, or that its records are as they should be.

    Broken: the scores are marked as unusable, and the sequential rule leaves the night out. Honest: a mark that the
    monitor or a decision set is removed, the night counts again, and what it was suspected of is not held against later
    nights of the same model. Raises `NotFoundError` if there is no such job,
    `StateConflictError` if the monitor has no report about it.
    """
    with writing(engine) as connection:
        night = _find_night(connection, job_id)
        if (night.figures.get(DECISION) or {}).get("is") == (BROKEN if is_broken else HONEST):
            return _result(connection, night, has_changed=False)
        if is_broken:
            mark_unusable(connection, job_id, why or f"{who} found the pipeline broken", who=who)
        elif night.verdict == Verdict.BROKEN_PIPELINE:
            clear_unusable(connection, job_id, why or f"{who} found the night honest", who=who)
        _store(connection, night, is_broken=is_broken, who=who)
        said = f"{BROKEN if is_broken else HONEST}{': ' if why else ''}{why}"
        record_event(connection, "drift.decided", who=who, job_id=job_id, portfolio=night.portfolio, why=said)
        return _result(connection, _find_night(connection, job_id), has_changed=True)


def find_settled(connection: Connection, portfolio: str, model_version: str) -> set[str]:
    """Return what a person decided to be honest on the nights of a model; a later decision replaces an earlier one."""
    decided = drift_reports.c.figures[DECISION]["is"].as_string()
    own = (drift_reports.c.portfolio == portfolio) & (drift_reports.c.model_version == model_version)
    nights = select(decided, drift_reports.c.figures).where(own, decided.is_not(None)).order_by(drift_reports.c.job_id)
    settled: set[str] = set()
    for decision, figures in connection.execute(nights):
        about = {name for part in ("faults", "suspicions", "settled") for name in figures.get(part) or ()}
        settled = settled | about if decision == HONEST else settled - about
    return settled


def _find_night(connection: Connection, job_id: int) -> Any:
    kind = connection.execute(select(jobs.c.kind).where(jobs.c.id == job_id)).scalar()
    if kind is None:
        raise NotFoundError("job", job_id, advice="List them with: tidemark job list")
    columns = [drift_reports.c[name] for name in ("job_id", "portfolio", "verdict", "figures", "calendar")]
    night = connection.execute(select(*columns).where(drift_reports.c.job_id == job_id)).one_or_none()
    if night is None:
        expected = "wait until it has" if kind == JobKind.SCORING else f"it is a {kind} job; name one that scores"
        raise StateConflictError(f"the monitor has no report about job {job_id}: {expected}")
    return night


def _store(connection: Connection, night: Any, *, is_broken: bool, who: str) -> None:
    """Replace verdict and series of a report, if nobody else has meanwhile."""
    figures, before = dict(night.figures), night.figures.get(DECISION) or {}
    was = before.get("was", night.verdict)
    if is_broken:
        verdict = Verdict.BROKEN_PIPELINE
    else:
        verdict = Verdict.WATCH if was == Verdict.BROKEN_PIPELINE else Verdict(was)
    counts = verdict in (Verdict.STABLE, Verdict.WATCH, Verdict.DRIFTED) and night.calendar is None
    figures[DECISION] = {"is": BROKEN if is_broken else HONEST, "was": was, "who": who}
    values = {name: figures.get(name) if counts else None for name in ("psi_corrected", "shift")}
    is_same = (drift_reports.c.job_id == night.job_id) & (drift_reports.c.verdict == night.verdict)
    stored = update(drift_reports).where(is_same).values(verdict=verdict, figures=figures, **values)
    if connection.execute(stored).rowcount != 1:
        raise StateConflictError(f"somebody else decided about job {night.job_id} just now; look at it again")


def _result(connection: Connection, night: Any, *, has_changed: bool) -> NightDecision:
    reason = connection.execute(select(jobs.c.unusable_reason).where(jobs.c.id == night.job_id)).scalar()
    decision = night.figures[DECISION]["is"]
    return NightDecision(night.job_id, night.portfolio, decision, Verdict(night.verdict), reason, has_changed)
