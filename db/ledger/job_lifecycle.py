"""Jobs: submitted once, listed, cancelled, failed; every change is one guarded statement with its event."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update

from db.connections.clock import now_plus
from db.connections.engine import reading, writing
from db.errors import IdempotencyConflictError, NotFoundError, StateConflictError
from db.events.event_log import record_event, record_shard_events
from db.portfolios.catalog import find_portfolio
from db.portfolios.definition import PortfolioDefinition
from db.schema.core_tables import jobs, shards
from db.schema.states import (
    KIND_OF_TASK,
    OPEN_JOB_STATES,
    USUAL_TASK,
    FailureCause,
    JobKind,
    JobState,
    JobTask,
    PauseCause,
    ShardState,
)


@dataclass(frozen=True)
class JobRequest:
    """What a user asks for."""

    kind: JobKind
    portfolio: str
    requested_by: str
    options: Mapping[str, Any]
    model_version: str | None = None
    idempotency_key: str | None = None
    priority: int = 100
    asks_for_champion: bool = False  # then the version is the current champion, and not part of the request
    task: JobTask | None = None  # None = the usual one of its kind

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the request, independent of the sender."""
        version = "champion" if self.asks_for_champion else self.model_version
        options = dict(self.options) | ({} if self.task is None else {"task": self.task})
        asked = [self.kind, self.portfolio, version, options, self.priority]
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()

    @property
    def remembered_key(self) -> str | None:
        """The idempotency key in its stored form, with its portfolio, so that two books can use the same key.

        In one column, because SQLite cannot change a unique constraint. The name of a portfolio has no blank.
        """
        return None if self.idempotency_key is None else f"{self.portfolio} {self.idempotency_key}"


@dataclass(frozen=True)
class Job:
    """One row of the job table."""

    id: int
    kind: JobKind
    task: JobTask
    portfolio: str
    state: JobState
    priority: int
    requested_by: str
    definition: PortfolioDefinition
    options: dict[str, Any]
    subject_job_id: int | None
    model_version: str | None
    inputs: int
    scored: int
    rejected: int
    shards_total: int
    shards_open: int
    shards_failed: int
    compared_job_id: int | None
    digest: str | None
    data_fingerprint: str | None
    cause: FailureCause | PauseCause | None
    detail: str | None
    resume_at: datetime | None
    unusable_reason: str | None
    progress: dict[str, Any] | None
    result: dict[str, Any] | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    planning_since: datetime | None = None

    @property
    def can_be_retried(self) -> bool:
        """Whether a retry can help: records over the reject budget have been tried, and are rejected again."""
        return self.state is JobState.FAILED and self.cause is not FailureCause.REJECT_BUDGET

    @property
    def is_open(self) -> bool:
        """Whether the job can still be processed."""
        return self.state in OPEN_JOB_STATES

    @property
    def seconds(self) -> float | None:
        """Seconds from the first claim to the end; None before the end, or if nothing was ever claimed."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()


_JOB_FIELDS = tuple(field.name for field in fields(Job))
JOB_COLUMNS = tuple(jobs.c[name] for name in _JOB_FIELDS)


def submit_job(engine: Engine, request: JobRequest) -> int:
    """Insert the job and return its id; the same idempotency key and request of a portfolio give the same id again.

    Raises `NotFoundError` for an unknown portfolio and `IdempotencyConflictError` for a key used for another request.
    """
    with writing(engine) as connection:
        return insert_job(connection, request)


def insert_job(connection: Connection, request: JobRequest) -> int:
    """Insert the job in the caller's transaction and return its id, like `submit_job` in its own transaction."""
    definition = find_portfolio(connection, request.portfolio).definition
    values = _values_of(request) | {"definition": definition.to_json()}
    job_id = _insert_unless_repeated(connection, request, values)
    if job_id is None:
        return _find_repeated(connection, request)
    record_event(connection, "job.submitted", who=request.requested_by, job_id=job_id, why=str(request.kind))
    return job_id


def insert_follow_up(
    connection: Connection, task: JobTask, subject: Job, options: Mapping[str, Any] | None = None
) -> int | None:
    """Insert a job about another job in the caller's transaction; None if there is one already."""
    kind = KIND_OF_TASK[task]
    request = JobRequest(kind, subject.portfolio, "tidemark", options or {}, subject.model_version, task=task)
    values = _values_of(request) | {"definition": subject.definition.to_json(), "subject_job_id": subject.id}
    statement = _insert_ignoring_conflicts(connection).values(**values).returning(jobs.c.id)
    job_id = connection.execute(statement).scalar()
    if job_id is not None:
        record_event(connection, "job.submitted", who="tidemark", job_id=job_id, why=f"{kind} of job {subject.id}")
    return job_id


def get_job(engine: Engine, job_id: int) -> Job:
    """Return one job. Raises `NotFoundError`."""
    with reading(engine) as connection:
        return find_job(connection, job_id)


def find_job(connection: Connection, job_id: int) -> Job:
    """Return one job within the caller's transaction. Raises `NotFoundError`."""
    row = connection.execute(select(*JOB_COLUMNS).where(jobs.c.id == job_id)).one_or_none()
    if row is None:
        raise NotFoundError("job", job_id, advice="List them with: tidemark job list")
    return as_job(row)


def find_follow_up(engine: Engine, subject_job_id: int) -> Job | None:
    """Return the newest job about another job, None if there is none."""
    statement = select(*JOB_COLUMNS).where(jobs.c.subject_job_id == subject_job_id).order_by(jobs.c.id.desc()).limit(1)
    with reading(engine) as connection:
        row = connection.execute(statement).one_or_none()
    return None if row is None else as_job(row)


def list_jobs(
    engine: Engine,
    *,
    portfolio: str | None = None,
    kind: JobKind | None = None,
    state: JobState | None = None,
    limit: int = 50,
) -> list[Job]:
    """Return the newest jobs, newest first."""
    wanted = {jobs.c.portfolio: portfolio, jobs.c.kind: kind, jobs.c.state: state}
    statement = select(*JOB_COLUMNS).order_by(jobs.c.id.desc()).limit(limit)
    for column, value in wanted.items():
        if value is not None:
            statement = statement.where(column == value)
    with reading(engine) as connection:
        return [as_job(row) for row in connection.execute(statement)]


def list_queued_job_ids(engine: Engine, *, limit: int = 100) -> list[int]:
    """Return jobs that wait to be planned, most urgent first."""
    order = (jobs.c.priority, jobs.c.id)
    statement = select(jobs.c.id).where(jobs.c.state == JobState.QUEUED).order_by(*order).limit(limit)
    with reading(engine) as connection:
        return list(connection.execute(statement).scalars())


def cancel_job(engine: Engine, job_id: int, *, who: str, why: str = "") -> Job:
    """Cancel a job that is not finished; workers notice at their next batch and write nothing more.

    Cancelling twice is harmless. Raises `StateConflictError` for a job that is done or failed.
    """
    with writing(engine) as connection:
        has_ended = _end_open_job(connection, job_id, JobState.CANCELLED, who=who)
        job = find_job(connection, job_id)
        if has_ended:
            record_event(connection, "job.cancelled", who=who, job_id=job_id, why=why)
        elif job.state is not JobState.CANCELLED:
            raise StateConflictError(f"job {job_id} is {job.state}; only a queued or running job can be cancelled")
    return job


def fail_job(engine: Engine, job_id: int, cause: FailureCause, detail: str, *, who: str) -> bool:
    """End an open job as failed at once, with its open shards; return whether this call did it."""
    with writing(engine) as connection:
        has_ended = _end_open_job(connection, job_id, JobState.FAILED, who=who, cause=cause, detail=detail)
        if has_ended:
            record_event(connection, "job.failed", who=who, job_id=job_id, why=f"{cause}: {detail}")
    return has_ended


def count_open_jobs(engine: Engine) -> int:
    """Return how many jobs are queued or running."""
    with reading(engine) as connection:
        return len(connection.execute(select(jobs.c.id).where(jobs.c.state.in_(OPEN_JOB_STATES))).all())


def _end_open_job(connection: Connection, job_id: int, state: JobState, *, who: str, **values: Any) -> bool:
    # Shards before the job, as everywhere: two transactions that lock in one order cannot deadlock.
    open_shards = shards.c.state.in_((ShardState.WAITING, ShardState.RUNNING))
    ended_shards = update(shards).where(shards.c.job_id == job_id, open_shards)
    ended_shards = ended_shards.values(state=ShardState.CANCELLED, lease_until=None, finished_at=now_plus())
    shard_ids = list(connection.execute(ended_shards.returning(shards.c.id)).scalars())
    record_shard_events(connection, "shard.cancelled", shard_ids, who=who, why=f"its job is {state}", job_id=job_id)
    ended = update(jobs).where(jobs.c.id == job_id, jobs.c.state.in_(OPEN_JOB_STATES))
    ending = {"cause": None, "detail": None, "resume_at": None, "planner": None, "planning_since": None} | values
    ended = ended.values(state=state, finished_at=now_plus(), shards_open=0, **ending)
    return connection.execute(ended).rowcount == 1


def _values_of(request: JobRequest) -> dict[str, Any]:
    return {
        "kind": request.kind,
        "task": request.task or USUAL_TASK[request.kind],
        "portfolio": request.portfolio,
        "priority": request.priority,
        "idempotency_key": request.remembered_key,
        "request_fingerprint": request.fingerprint,
        "requested_by": request.requested_by,
        "options": dict(request.options),
        "model_version": request.model_version,
    }


def _insert_unless_repeated(connection: Connection, request: JobRequest, values: dict[str, Any]) -> int | None:
    if request.idempotency_key is None:
        return connection.execute(insert(jobs).values(**values).returning(jobs.c.id)).scalar_one()
    statement = _insert_ignoring_conflicts(connection).values(**values).returning(jobs.c.id)
    return connection.execute(statement).scalar()


def _find_repeated(connection: Connection, request: JobRequest) -> int:
    asked = (jobs.c.id, jobs.c.request_fingerprint)
    assert request.idempotency_key is not None, "only a request with an idempotency key can be repeated"
    is_same = jobs.c.idempotency_key == request.remembered_key
    job_id, fingerprint = connection.execute(select(*asked).where(is_same)).one()
    if fingerprint != request.fingerprint:
        raise IdempotencyConflictError(request.idempotency_key, job_id)
    return job_id


def _insert_ignoring_conflicts(connection: Connection) -> Any:
    from sqlalchemy.dialects import postgresql, sqlite  # noqa: PLC0415 - only these two dialects are known

    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(jobs).on_conflict_do_nothing()


def as_job(row: Any) -> Job:
    """Return a row that begins with `JOB_COLUMNS` as a job; what comes after them is the caller's."""
    values: dict[str, Any] = dict(zip(_JOB_FIELDS, row, strict=False))
    values |= {"kind": JobKind(values["kind"]), "task": JobTask(values["task"]), "state": JobState(values["state"])}
    values["definition"] = PortfolioDefinition.from_json(values["definition"])
    values["cause"] = _cause_of(values["cause"])
    return Job(**values)


def _cause_of(code: str | None) -> FailureCause | PauseCause | None:
    if code is None:
        return None
    return FailureCause(code) if code in set(FailureCause) else PauseCause(code)
