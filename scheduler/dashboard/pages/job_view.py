"""The content of the page of one job, read at once: counts, shards by state, rejects, events, possible actions."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from db.events.event_log import Event, list_events
from db.ledger.job_lifecycle import Job, find_follow_up
from db.ledger.shard_leases import find_waiting_error
from db.ledger.shard_map import ShardGroup, ShownShard, group_shards, list_shards
from db.operations.diagnosis import read_database_time
from db.results.result_pages import count_rejects
from db.retraining.vintages import Vintage, get_vintage
from db.schema.states import JobKind, JobState, ShardState
from scheduler.api.context import Caller
from scheduler.dashboard.charts.cells import Cell
from scheduler.dashboard.charts.drawing import Chart
from scheduler.dashboard.charts.job_charts import rejects_chart

_LISTED_SHARDS, _LISTED_EVENTS, _CELLS = 100, 100, 600
_ALLOWED = {
    "cancel": {JobState.QUEUED, JobState.RUNNING, JobState.PAUSED},
    "pause": {JobState.QUEUED, JobState.RUNNING},
    "resume": {JobState.PAUSED},
}


@dataclass(frozen=True)
class JobView:
    """The content of the page. `rate` is in records per second, `share` 0 to 1, `seconds_left` an estimate."""

    job: Job
    seconds: float | None
    rate: float | None
    share: float | None
    seconds_left: float | None
    shards: dict[str, int]
    cells: list[Cell]
    listed: list[ShownShard]
    rejects: Chart | None
    events: list[Event]
    shard_events: list[Event]
    waits_because: str | None
    follow_up: int | None
    vintage: Vintage | None
    actions: list[str]

    @property
    def shard_rows(self) -> list[tuple[object, ...]]:
        """The listed shards as rows of a table."""
        return [
            (*(one.ordinal, one.state, one.attempt, one.worker, one.expected, one.scored, one.rejected),
             *(one.finished_at, one.error))
            for one in self.listed
        ]  # fmt: skip


def view_job(caller: Caller, job_id: int) -> JobView:
    """Read everything shown about one job. Raises what `Caller.job` does."""
    job, engine = caller.job(job_id), caller.engine
    seconds = job.seconds or _seconds_until(job, read_database_time(engine))
    finished = job.scored + job.rejected
    rate = finished / seconds if seconds and finished else None
    counted = count_rejects(engine, job_id)
    follow_up = find_follow_up(engine, job_id)
    groups = group_shards(engine, job_id, most=_CELLS)
    return JobView(
        job=job,
        seconds=seconds,
        rate=rate,
        share=_share_of(job),
        seconds_left=_seconds_left(job, rate),
        shards=_count_states(groups),
        cells=[Cell(one) for one in groups],
        listed=list_shards(engine, job_id, limit=_LISTED_SHARDS),
        rejects=rejects_chart(counted) if counted else None,
        events=list_events(engine, job_id, limit=_LISTED_EVENTS, of_shards=False)[::-1],
        shard_events=list_events(engine, job_id, limit=_LISTED_EVENTS, of_shards=True)[::-1],
        waits_because=find_waiting_error(engine, job_id) if any(one.troubled for one in groups) else None,
        follow_up=None if follow_up is None else follow_up.id,
        vintage=get_vintage(engine, job_id) if job.kind is JobKind.SCORING else None,
        actions=[name for name, states in _ALLOWED.items() if job.state in states] + ["retry"] * job.can_be_retried,
    )


def _count_states(groups: list[ShardGroup]) -> dict[str, int]:
    counted = sum((Counter(one.states) for one in groups), Counter[ShardState]())
    return {str(state): counted[state] for state in sorted(counted)}


def _seconds_until(job: Job, now: datetime) -> float | None:
    return None if job.started_at is None else max(0.0, (now - job.started_at).total_seconds())


def _seconds_left(job: Job, rate: float | None) -> float | None:
    if job.state is not JobState.RUNNING:
        return None
    if job.kind is JobKind.SCORING:
        return (job.inputs - job.scored - job.rejected) / rate if rate else None
    return (job.progress or {}).get("seconds_left")


def _share_of(job: Job) -> float | None:
    if job.kind is JobKind.SCORING:
        return min(1.0, (job.scored + job.rejected) / job.inputs) if job.inputs else None
    if job.state is JobState.DONE:
        return 1.0
    return (job.progress or {}).get("done") if job.is_open else None
