"""Leases on the planning of queued jobs, so that schedulers share them and a dead one keeps none."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Engine, and_, case, func, or_, select, update

from db.connections.clock import now_plus
from db.connections.engine import reading, writing
from db.events.event_log import record_event
from db.schema.core_tables import jobs
from db.schema.states import JobKind, JobState

AGED_SECONDS = 600.0  # a job that waits for longer is planned before more urgent ones


@dataclass(frozen=True)
class UnplannedJob:
    """A queued job that no scheduler is planning now."""

    job_id: int
    kind: JobKind
    portfolio: str


def is_unplanned() -> ColumnElement[bool]:
    """A queued job that no scheduler is planning, and that does not have to wait first."""
    is_free = or_(jobs.c.planning_until.is_(None), jobs.c.planning_until < now_plus())
    return and_(jobs.c.state == JobState.QUEUED, is_free)


def list_unplanned(engine: Engine) -> list[UnplannedJob]:
    """Return the first scoring job of each book and every other job, most urgent first; a long wait is urgent too.

    One job per book, so that many waiting jobs of one book hide no other.
    """
    rank = case((jobs.c.created_at < now_plus(-AGED_SECONDS), 0), else_=jobs.c.priority)
    place = func.row_number().over(partition_by=(jobs.c.portfolio, jobs.c.kind), order_by=(rank, jobs.c.id))
    waiting = select(jobs.c.id, jobs.c.kind, jobs.c.portfolio, rank.label("rank"), place.label("place"))
    found = waiting.where(is_unplanned()).subquery()
    chosen = select(found.c.id, found.c.kind, found.c.portfolio)
    chosen = chosen.where(or_(found.c.place == 1, found.c.kind != JobKind.SCORING)).order_by(found.c.rank, found.c.id)
    with reading(engine) as connection:
        return [UnplannedJob(row.id, JobKind(row.kind), row.portfolio) for row in connection.execute(chosen)]


def claim_planning(engine: Engine, job_id: int, *, planner: str, lease_seconds: float) -> int | None:
    """Take a queued job to plan it; return the number of this attempt, None if another scheduler was first."""
    claimed = update(jobs).where(jobs.c.id == job_id, is_unplanned())
    claimed = claimed.values(
        planner=planner,
        planning_since=now_plus(),
        planning_until=now_plus(lease_seconds),
        planning_attempts=func.coalesce(jobs.c.planning_attempts, 0) + 1,
    )
    with writing(engine) as connection:
        return connection.execute(claimed.returning(jobs.c.planning_attempts)).scalar()


def renew_plannings(engine: Engine, job_ids: Collection[int], *, planner: str, lease_seconds: float) -> set[int]:
    """Renew the leases; return the jobs that we still have to plan, without those cancelled or paused."""
    held = update(jobs).where(jobs.c.id.in_(job_ids), jobs.c.planner == planner, jobs.c.state == JobState.QUEUED)
    with writing(engine) as connection:
        renewed = held.values(planning_until=now_plus(lease_seconds)).returning(jobs.c.id)
        return set(connection.execute(renewed).scalars())


def put_off_planning(engine: Engine, job_id: int, *, planner: str, why: str, seconds: float) -> None:
    """Put a job that could not be planned back in the queue, with the reason; the attempt counts."""
    with writing(engine) as connection:
        waiting = update(jobs).where(jobs.c.id == job_id, jobs.c.planner == planner)
        planning = {"planner": None, "planning_since": None, "planning_until": now_plus(seconds), "detail": why}
        if connection.execute(waiting.values(**planning)).rowcount == 1:
            record_event(connection, "job.planning_put_off", who=planner, job_id=job_id, why=why)


def give_back_planning(engine: Engine, job_id: int, *, planner: str) -> None:
    """Put a job that was not at fault back in the queue without counting an attempt."""
    with writing(engine) as connection:
        waiting = update(jobs).where(jobs.c.id == job_id, jobs.c.planner == planner)
        attempts = jobs.c.planning_attempts - 1
        planning = {"planner": None, "planning_since": None, "planning_until": None, "planning_attempts": attempts}
        connection.execute(waiting.values(**planning))
