"""Pages of jobs, events, scores and rejects; each page begins after the last row of the previous one."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Engine, func, select, tuple_

from db.connections.engine import reading
from db.events.event_log import IS_NO_ACCESS, Event
from db.ledger.job_lifecycle import JOB_COLUMNS, Job, as_job
from db.schema.core_tables import events, jobs, rejects, scores
from db.schema.states import JobKind, JobState

_IDS_AT_ONCE = 500


@dataclass(frozen=True)
class JobFilter:
    """A filter of jobs; None for `portfolios` or `ids` means all."""

    portfolios: tuple[str, ...] | None = None
    kind: JobKind | None = None
    state: JobState | None = None
    ids: tuple[int, ...] | None = None


@dataclass(frozen=True)
class StoredScore:
    """A record's score in one job."""

    record_key: str
    probability: float
    points: int
    band: str
    reasons: tuple[str, ...] | None = None


@dataclass(frozen=True)
class StoredReject:
    """A record of one job that could not be scored; shard and ordinal are its place."""

    shard_id: int
    ordinal: int
    record_key: str | None
    field: str
    reason: str
    detail: str


def page_jobs(engine: Engine, wanted: JobFilter, *, before: int | None, limit: int) -> list[Job]:
    """Return the newest jobs below the id `before`, newest first."""
    chosen: list[ColumnElement[bool]] = []
    if wanted.portfolios is not None:
        chosen.append(jobs.c.portfolio.in_(wanted.portfolios))
    if wanted.kind is not None:
        chosen.append(jobs.c.kind == wanted.kind)
    if wanted.state is not None:
        chosen.append(jobs.c.state == wanted.state)
    if wanted.ids is not None:
        chosen.append(jobs.c.id.in_(wanted.ids))
    if before is not None:
        chosen.append(jobs.c.id < before)
    statement = select(*JOB_COLUMNS).where(*chosen).order_by(jobs.c.id.desc()).limit(limit)
    with reading(engine) as connection:
        return [as_job(row) for row in connection.execute(statement)]


def list_events_after(engine: Engine, job_id: int, event_id: int, *, limit: int = 200) -> list[tuple[int, Event]]:
    """Return the events of a job that came after another event, with their ids, oldest first."""
    columns = (events.c.at, events.c.event, events.c.who, events.c.why, events.c.job_id, events.c.shard_id)
    statement = select(events.c.id, *columns).where(events.c.job_id == job_id, events.c.id > event_id, IS_NO_ACCESS)
    with reading(engine) as connection:
        return [(row[0], Event(*row[1:])) for row in connection.execute(statement.order_by(events.c.id).limit(limit))]


def list_jobs_of(engine: Engine, job_ids: Sequence[int]) -> list[Job]:
    """Return the jobs with these ids; those that do not exist are left out."""
    found: list[Job] = []
    with reading(engine) as connection:
        for first in range(0, len(job_ids), _IDS_AT_ONCE):
            some = jobs.c.id.in_(job_ids[first : first + _IDS_AT_ONCE])
            found += [as_job(row) for row in connection.execute(select(*JOB_COLUMNS).where(some))]
    return found


def find_newest_events(engine: Engine, job_ids: Sequence[int]) -> dict[int, int]:
    """Return the id of the newest event of each of these jobs that has one."""
    found: dict[int, int] = {}
    with reading(engine) as connection:
        for first in range(0, len(job_ids), _IDS_AT_ONCE):
            some = events.c.job_id.in_(job_ids[first : first + _IDS_AT_ONCE])
            newest = select(events.c.job_id, func.max(events.c.id)).where(some).group_by(events.c.job_id)
            found |= {row[0]: row[1] for row in connection.execute(newest)}
    return found


def page_scores(
    engine: Engine, job_id: int, *, after: str | None, limit: int, band: str | None = None
) -> list[StoredScore]:
    """Return the scores of a job whose key comes after `after`, in key order."""
    columns = (scores.c.record_key, scores.c.probability, scores.c.points, scores.c.band, scores.c.reasons)
    chosen = [scores.c.job_id == job_id]
    if band is not None:
        chosen.append(scores.c.band == band)
    if after is not None:
        chosen.append(scores.c.record_key > after)
    rows = _read(engine, select(*columns).where(*chosen).order_by(scores.c.record_key).limit(limit))
    return [
        StoredScore(row[0], row[1], row[2], row[3], None if row[4] is None else tuple(json.loads(row[4])))
        for row in rows
    ]


def page_rejects(
    engine: Engine, job_id: int, *, after: tuple[int, int] | None, limit: int, reason: str | None = None
) -> list[StoredReject]:
    """Return the rejects of a job after a place (shard, ordinal), in the order of their places."""
    columns = (rejects.c.shard_id, rejects.c.ordinal, rejects.c.record_key, rejects.c.field, rejects.c.reason)
    chosen = [rejects.c.job_id == job_id]
    if reason is not None:
        chosen.append(rejects.c.reason == reason)
    if after is not None:
        chosen.append(tuple_(rejects.c.shard_id, rejects.c.ordinal) > after)
    statement = select(*columns, rejects.c.detail).where(*chosen)
    rows = _read(engine, statement.order_by(rejects.c.shard_id, rejects.c.ordinal).limit(limit))
    return [StoredReject(*row) for row in rows]


def count_rejects(engine: Engine, job_id: int) -> dict[str, int]:
    """Return how many records of a job were rejected, by reason."""
    statement = select(rejects.c.reason, func.count()).where(rejects.c.job_id == job_id).group_by(rejects.c.reason)
    return {row[0]: row[1] for row in _read(engine, statement.order_by(rejects.c.reason))}


def _read(engine: Engine, statement: Any) -> Sequence[Any]:
    with reading(engine) as connection:
        return connection.execute(statement).all()
