"""Counts for operators: jobs, shards, rejects, queue age, drift. No statement reads a person's row."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, func, select

from db.connections.clock import now_plus
from db.connections.engine import reading
from db.operations.dropped_messages import read_dropped
from db.schema.core_tables import events, jobs, shards
from db.schema.model_tables import champions
from db.schema.monitoring_tables import drift_reports
from db.schema.states import JobKind, JobState, ShardState

_RATE_SECONDS = 60.0


@dataclass(frozen=True)
class Metrics:
    """The content of `/metrics`; every name is a portfolio, a state or a version, never a person."""

    jobs: dict[tuple[str, str, str], int]  # portfolio, kind, state
    shards: dict[tuple[str, str], int]  # queue, state, of jobs that have not ended
    records_scored: dict[str, int]  # portfolio
    records_rejected: dict[str, int]
    records_per_second: float  # of the last minute
    lease_losses: int
    dropped_messages: dict[str, int]  # queue
    queue_age_seconds: dict[str, float]  # queue: how long its oldest claimable shard waits
    champions: dict[str, str]
    drift: dict[str, tuple[str, dict[str, Any]]]  # portfolio: newest verdict and figures


def read_metrics(engine: Engine) -> Metrics:
    """Count everything again, in one snapshot."""
    with reading(engine) as connection:

        def rows(statement: Any) -> list[Any]:
            return list(connection.execute(statement))

        by_state = select(jobs.c.portfolio, jobs.c.kind, jobs.c.state, func.count())
        counted = rows(by_state.group_by(jobs.c.portfolio, jobs.c.kind, jobs.c.state))
        sums = select(jobs.c.portfolio, func.sum(jobs.c.scored), func.sum(jobs.c.rejected))
        records = rows(sums.where(jobs.c.kind == JobKind.SCORING).group_by(jobs.c.portfolio))
        is_open = jobs.c.state.in_((JobState.QUEUED, JobState.RUNNING, JobState.PAUSED))
        of_open = select(shards.c.queue, shards.c.state, func.count()).join(jobs, jobs.c.id == shards.c.job_id)
        open_shards = rows(of_open.where(is_open).group_by(shards.c.queue, shards.c.state))
        since = now_plus(-_RATE_SECONDS)
        is_recent = jobs.c.finished_at.is_(None) | (jobs.c.finished_at >= since)
        recent = select(func.coalesce(func.sum(shards.c.read_rows), 0)).join(jobs, jobs.c.id == shards.c.job_id)
        recent = recent.where(is_recent, shards.c.state == ShardState.DONE, shards.c.finished_at >= since)
        lost = select(func.count()).select_from(events).where(events.c.event == "shard.taken_back")
        waiting = select(shards.c.queue, func.min(shards.c.available_at)).where(
            shards.c.state == ShardState.WAITING, shards.c.available_at <= now_plus()
        )
        now = connection.execute(select(now_plus())).scalar_one()
        newest = select(func.max(drift_reports.c.id)).group_by(drift_reports.c.portfolio)
        reports = select(drift_reports.c.portfolio, drift_reports.c.verdict, drift_reports.c.figures)
        return Metrics(
            jobs={(row[0], row[1], row[2]): row[3] for row in counted},
            shards={(row[0], row[1]): row[2] for row in open_shards},
            records_scored={row[0]: int(row[1] or 0) for row in records},
            records_rejected={row[0]: int(row[2] or 0) for row in records},
            records_per_second=float(connection.execute(recent).scalar_one()) / _RATE_SECONDS,
            lease_losses=connection.execute(lost).scalar_one(),
            dropped_messages=read_dropped(connection),
            queue_age_seconds={
                row[0]: max(0.0, (now - row[1]).total_seconds()) for row in rows(waiting.group_by(shards.c.queue))
            },
            champions={row[0]: row[1] for row in rows(select(champions.c.portfolio, champions.c.version))},
            drift={row[0]: (row[1], row[2]) for row in rows(reports.where(drift_reports.c.id.in_(newest)))},
        )
