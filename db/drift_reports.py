"""Histograms that the shards wrote, and the monitor's reports about them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, select
from sqlalchemy.dialects import postgresql, sqlite

from db.engine import reading
from db.states import Verdict
from db.tables import drift_reports, shard_histograms


@dataclass(frozen=True)
class ShardHistogram:
    """Scores of one shard in integer points (as text, JSON has no other keys), and records without a score."""

    points: dict[str, int]
    unscorable: int


@dataclass(frozen=True)
class DriftReport:
    """What the monitor found for one scoring job."""

    portfolio: str
    job_id: int
    model_version: str
    verdict: Verdict
    figures: dict[str, Any]
    created_at: datetime | None = None


def read_histograms(engine: Engine, job_id: int) -> list[ShardHistogram]:
    """Return the histogram of every finished shard of a job."""
    columns = (shard_histograms.c.points, shard_histograms.c.unscorable)
    with reading(engine) as connection:
        rows = connection.execute(select(*columns).where(shard_histograms.c.job_id == job_id))
        return [ShardHistogram(row.points, row.unscorable) for row in rows]


def insert_report(connection: Connection, report: DriftReport) -> bool:
    """Store a report in the caller's transaction; one that is there already stays as it is, and False is returned."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    values: dict[str, Any] = {
        "portfolio": report.portfolio,
        "job_id": report.job_id,
        "model_version": report.model_version,
        "verdict": report.verdict,
        "figures": report.figures,
    }
    statement = dialect.insert(drift_reports).values(**values).on_conflict_do_nothing()
    return connection.execute(statement.returning(drift_reports.c.id)).scalar() is not None


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


def _select_reports() -> Any:
    names = ("portfolio", "job_id", "model_version", "verdict", "figures", "created_at")
    return select(*(drift_reports.c[name] for name in names))


def _as_report(row: Any) -> DriftReport:
    values: dict[str, Any] = dict(row._mapping) | {"verdict": Verdict(row.verdict)}
    return DriftReport(**values)
