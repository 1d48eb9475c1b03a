"""The monitor's reports about nights, and the series of figures that its sequential rule adds up."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite

from db.connections.clock import now_plus
from db.connections.engine import reading
from db.events.event_log import insert_with_event, record_event
from db.events.webhook_queue import queue_deliveries
from db.schema.monitoring_tables import alarm_limits, drift_reports
from db.schema.states import Verdict


@dataclass(frozen=True)
class DriftReport:
    """The monitor's report about one scoring job; unknown values are None."""

    portfolio: str
    job_id: int
    model_version: str
    verdict: Verdict
    figures: dict[str, Any]
    psi_corrected: float | None = None
    shift: float | None = None
    calendar: str | None = None
    created_at: datetime | None = None


@dataclass(frozen=True)
class Night:
    """One night of the series: the figures of a report that later nights need."""

    job_id: int
    verdict: Verdict
    psi_corrected: float | None
    shift: float | None
    calendar: str | None


_WHO = "monitor"
_COLUMNS = tuple(DriftReport.__dataclass_fields__)
_INSERT_SQLITE = sqlite.insert(drift_reports).on_conflict_do_nothing().returning(drift_reports.c.id)
_STORED = {name: bindparam(f"report_{name}", type_=drift_reports.c[name].type) for name in _COLUMNS[:-1]}
_INSERT_POSTGRESQL = insert_with_event(
    postgresql.insert(drift_reports).values(_STORED).on_conflict_do_nothing().returning(drift_reports.c.id)
)


def insert_report(connection: Connection, report: DriftReport) -> bool:
    """Store a report in the caller's transaction; return False if there already is one.

    Webhooks are notified.
    """
    event, job_id, portfolio = f"drift.{report.verdict}", report.job_id, report.portfolio
    values = {name: getattr(report, name) for name in _STORED}
    if connection.dialect.name == "sqlite":
        is_stored = connection.execute(_INSERT_SQLITE, values).scalar() is not None
        if is_stored:
            record_event(connection, event, who=_WHO, job_id=job_id, portfolio=portfolio)
        return is_stored
    event_values = {"event_of_row": event, "who": _WHO, "of_job": job_id, "of_portfolio": portfolio}
    row = connection.execute(
        _INSERT_POSTGRESQL, {f"report_{name}": one for name, one in values.items()} | event_values
    ).first()
    if row is not None and row[1]:
        queue_deliveries(connection, row[0], event, job_id=job_id, portfolio=portfolio)
    return row is not None


def find_report(engine: Engine, job_id: int) -> DriftReport | None:
    """Return the report about a scoring job, None while there is none."""
    statement = _select_reports().where(drift_reports.c.job_id == job_id)
    with reading(engine) as connection:
        row = connection.execute(statement).one_or_none()
    return None if row is None else _as_report(row)


def list_reports(engine: Engine, portfolio: str, *, limit: int = 100) -> list[DriftReport]:
    """Return the newest reports of a portfolio, newest first."""
    statement = _select_reports().where(drift_reports.c.portfolio == portfolio)
    with reading(engine) as connection:
        return [
            _as_report(row) for row in connection.execute(statement.order_by(drift_reports.c.id.desc()).limit(limit))
        ]


def read_verdicts(engine: Engine, job_ids: Sequence[int]) -> dict[int, Verdict]:
    """Return the verdict on each of these scoring jobs; one without a report is left out."""
    statement = select(drift_reports.c.job_id, drift_reports.c.verdict).where(drift_reports.c.job_id.in_(job_ids))
    with reading(engine) as connection:
        return {row.job_id: Verdict(row.verdict) for row in connection.execute(statement)}


def find_first_night(connection: Connection, portfolio: str, model_version: str) -> int | None:
    """Return the first job that a model scored with an intact pipeline."""
    own = (drift_reports.c.portfolio == portfolio) & (drift_reports.c.model_version == model_version)
    is_whole = drift_reports.c.verdict.not_in((Verdict.BROKEN_PIPELINE, Verdict.INSUFFICIENT))
    return connection.execute(select(func.min(drift_reports.c.job_id)).where(own, is_whole)).scalar()


def store_limits(connection: Connection, portfolio: str, model_version: str, limits: dict[str, Any]) -> None:
    """Replace the limits of the sequential rule, in the caller's transaction."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    values = {"nights": limits["nights"], "limits": limits, "made_at": now_plus()}
    stored = dialect.insert(alarm_limits).values(portfolio=portfolio, model_version=model_version, **values)
    keys = [alarm_limits.c.portfolio, alarm_limits.c.model_version]
    connection.execute(stored.on_conflict_do_update(index_elements=keys, set_=values))


def _select_reports() -> Any:
    return select(*(drift_reports.c[name] for name in _COLUMNS))


def _as_report(row: Any) -> DriftReport:
    values: dict[str, Any] = dict(row._mapping) | {"verdict": Verdict(row.verdict)}
    return DriftReport(**values)
