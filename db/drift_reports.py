"""The monitor's reports about nights, and the series of figures that its sequential rule adds up."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.dialects import postgresql, sqlite

from db.clock import now_plus
from db.engine import reading
from db.events import record_event
from db.monitoring_tables import alarm_limits, drift_reports
from db.states import Verdict


@dataclass(frozen=True)
class DriftReport:
    """What the monitor found for one scoring job; what cannot be said is None."""

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


_COLUMNS = tuple(DriftReport.__dataclass_fields__)
_INSERTS = {
    name: dialect.insert(drift_reports).on_conflict_do_nothing().returning(drift_reports.c.id)
    for name, dialect in (("postgresql", postgresql), ("sqlite", sqlite))
}


def insert_report(connection: Connection, report: DriftReport) -> bool:
    """Store a report in the caller's transaction; return whether this call did: one that is there already stays."""
    values = {name: getattr(report, name) for name in _COLUMNS if name != "created_at"}
    is_stored = connection.execute(_INSERTS[connection.dialect.name], values).scalar() is not None
    if is_stored:  # webhooks hear of it
        record_event(
            connection, f"drift.{report.verdict}", who="monitor", job_id=report.job_id, portfolio=report.portfolio
        )
    return is_stored


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


def find_first_night(connection: Connection, portfolio: str, model_version: str) -> int | None:
    """Return the first job that a model scored and whose pipeline was found whole."""
    own = (drift_reports.c.portfolio == portfolio) & (drift_reports.c.model_version == model_version)
    is_whole = drift_reports.c.verdict.not_in((Verdict.BROKEN_PIPELINE, Verdict.INSUFFICIENT))
    return connection.execute(select(func.min(drift_reports.c.job_id)).where(own, is_whole)).scalar()


def store_limits(connection: Connection, portfolio: str, model_version: str, limits: dict[str, Any]) -> None:
    """Set the limits of the sequential rule anew, in the caller's transaction."""
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
