"""What the page of one job shows, read in one go: counts, shards by state, rejects, events, and what may be done."""

from dataclasses import dataclass
from datetime import datetime

from db.diagnosis import read_database_time
from db.events import Event, list_events
from db.jobs import Job, find_follow_up
from db.pages import count_rejects
from db.shard_map import ShownShard, list_shard_states, list_shards
from db.shards import count_shards, find_waiting_error
from db.states import JobKind, JobState, ShardState
from scheduler.api.context import Caller
from scheduler.dashboard.charts.drawing import Chart
from scheduler.dashboard.charts.job_charts import rejects_chart

KEPT_SHARDS = 100_000  # of a file that is saved
_LISTED_SHARDS, _LISTED_EVENTS, _CELLS = 100, 100, 600
# The state that a cell takes which stands for several shards: what needs a look comes first.
_NOTABLE = (
    ShardState.FAILED, ShardState.RUNNING, ShardState.WAITING, ShardState.CANCELLED, ShardState.SPLIT, ShardState.DONE,
)  # fmt: skip
_ALLOWED = {
    "cancel": {JobState.QUEUED, JobState.RUNNING, JobState.PAUSED},
    "pause": {JobState.QUEUED, JobState.RUNNING},
    "resume": {JobState.PAUSED},
}


@dataclass(frozen=True)
class Cell:
    """One square of the map: some shards in a row, in the state among theirs that most needs a look."""

    first: int
    last: int
    state: ShardState

    @property
    def said(self) -> str:
        """What it stands for, in words."""
        name = f"shard {self.first}" if self.first == self.last else f"shards {self.first} to {self.last}"
        return f"{name}: {self.state}"


@dataclass(frozen=True)
class JobView:
    """Everything the page shows. `rate` is in records per second, `share` 0 to 1, `seconds_left` an estimate."""

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
    """Read all that is shown of one job. Raises what `Caller.job` does."""
    job, engine = caller.job(job_id), caller.engine
    seconds = job.seconds or _seconds_until(job, read_database_time(engine))
    finished = job.scored + job.rejected
    rate = finished / seconds if seconds and finished else None
    counted = count_rejects(engine, job_id)
    follow_up = find_follow_up(engine, job_id)
    return JobView(
        job=job,
        seconds=seconds,
        rate=rate,
        share=_share_of(job),
        seconds_left=(job.inputs - finished) / rate if rate and job.state is JobState.RUNNING else None,
        shards=count_shards(engine, job_id),
        cells=map_cells(list_shard_states(engine, job_id)),
        listed=list_shards(engine, job_id, limit=_LISTED_SHARDS),
        rejects=rejects_chart(counted) if counted else None,
        events=list_events(engine, job_id, limit=_LISTED_EVENTS, of_shards=False)[::-1],
        shard_events=list_events(engine, job_id, limit=_LISTED_EVENTS, of_shards=True)[::-1],
        waits_because=find_waiting_error(engine, job_id),
        follow_up=None if follow_up is None else follow_up.id,
        actions=[name for name, states in _ALLOWED.items() if job.state in states] + ["retry"] * job.can_be_retried,
    )


def map_cells(states: list[tuple[int, ShardState]], most: int = _CELLS) -> list[Cell]:
    """Return the shards as at most so many cells, in the order of the book.

    >>> [one.said for one in map_cells([(0, ShardState.DONE), (1, ShardState.FAILED), (2, ShardState.DONE)], most=2)]
    ['shards 0 to 1: failed', 'shard 2: done']
    """
    size = -(-len(states) // most) or 1
    groups = [states[start : start + size] for start in range(0, len(states), size)]
    return [Cell(group[0][0], group[-1][0], min((one for _, one in group), key=_NOTABLE.index)) for group in groups]


def _seconds_until(job: Job, now: datetime) -> float | None:
    return None if job.started_at is None else max(0.0, (now - job.started_at).total_seconds())


def _share_of(job: Job) -> float | None:
    if job.kind is JobKind.SCORING:
        return min(1.0, (job.scored + job.rejected) / job.inputs) if job.inputs else None
    return 1.0 if job.state is JobState.DONE else None
