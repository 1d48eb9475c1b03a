"""The states of jobs, shards and model versions, and the legal moves between them."""

from enum import StrEnum


class JobKind(StrEnum):
    """What is asked for."""

    SCORING = "scoring"
    TRAINING = "training"
    FINE_TUNING = "fine_tuning"
    MONITORING = "monitoring"


class JobState(StrEnum):
    """Where a job stands. `done`, `failed` and `cancelled` are final."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ShardState(StrEnum):
    """Where a shard stands. `done`, `failed` and `cancelled` are final."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ModelState(StrEnum):
    """Where a model version stands in its life."""

    CANDIDATE = "candidate"
    CHALLENGER = "challenger"
    CHAMPION = "champion"
    RETIRED = "retired"
    REFUSED = "refused"


class Verdict(StrEnum):
    """What the monitor says of a night."""

    STABLE = "stable"
    WATCH = "watch"
    DRIFTED = "drifted"
    BROKEN_PIPELINE = "broken_pipeline"
    INSUFFICIENT = "insufficient"


class FailureCause(StrEnum):
    """Why a job failed, as a code that programs may rely on."""

    REJECT_BUDGET = "reject_budget"
    SHARD_FAILED = "shard_failed"
    MODEL_UNREADABLE = "model_unreadable"
    SOURCE_UNREADABLE = "source_unreadable"
    TRAINING_DATA = "training_data"


JOB_MOVES: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.FAILED, JobState.CANCELLED}),
    JobState.RUNNING: frozenset({JobState.DONE, JobState.FAILED, JobState.CANCELLED}),
    JobState.DONE: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
}

SHARD_MOVES: dict[ShardState, frozenset[ShardState]] = {
    ShardState.WAITING: frozenset({ShardState.RUNNING, ShardState.CANCELLED}),
    ShardState.RUNNING: frozenset({ShardState.WAITING, ShardState.DONE, ShardState.FAILED, ShardState.CANCELLED}),
    ShardState.DONE: frozenset(),
    ShardState.FAILED: frozenset(),
    ShardState.CANCELLED: frozenset(),
}

FINAL_JOB_STATES = frozenset(state for state, moves in JOB_MOVES.items() if not moves)
OPEN_JOB_STATES = frozenset(JobState) - FINAL_JOB_STATES

QUEUE_OF_KIND: dict[JobKind, str] = {
    JobKind.SCORING: "scoring",
    JobKind.TRAINING: "training",
    JobKind.FINE_TUNING: "training",
    JobKind.MONITORING: "monitoring",
}
