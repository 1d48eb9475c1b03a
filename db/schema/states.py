"""The states of jobs, shards, model versions and schedules, and the legal moves between them."""

from enum import StrEnum


class JobKind(StrEnum):
    """What is asked for."""

    SCORING = "scoring"
    TRAINING = "training"
    FINE_TUNING = "fine_tuning"
    MONITORING = "monitoring"


class JobTask(StrEnum):
    """Which of its kind's tasks a job is."""

    SCORE = "score"
    TRAIN = "train"
    FINE_TUNE = "fine_tune"
    PRETRAIN = "pretrain"  # further, on a book whose outcomes nobody knows yet
    GATE = "gate"  # judge a challenger that waited
    WATCH = "watch"  # compare the champion with the one before, on outcomes that came since
    NIGHT = "night"  # compare a night's scores with the reference of its model
    VINTAGES = "vintages"  # what became of the records that past nights scored
    COMPARISON = "comparison"  # of two models on the same outcomes
    SCRUB = "scrub"  # take the records out of a bundle of an older release


_TASKS = {
    JobKind.SCORING: (JobTask.SCORE,),
    JobKind.TRAINING: (JobTask.TRAIN,),
    JobKind.FINE_TUNING: (JobTask.FINE_TUNE, JobTask.PRETRAIN, JobTask.GATE, JobTask.WATCH),
    JobKind.MONITORING: (JobTask.NIGHT, JobTask.VINTAGES, JobTask.COMPARISON, JobTask.SCRUB),
}
KIND_OF_TASK = {task: kind for kind, tasks in _TASKS.items() for task in tasks}
USUAL_TASK = {kind: tasks[0] for kind, tasks in _TASKS.items()}


class JobState(StrEnum):
    """Where a job stands. `done` and `cancelled` are final; a failed job may be tried again."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ShardState(StrEnum):
    """Where a shard stands. `done` and `split` are final; the others end when their job does."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SPLIT = "split"  # two smaller shards took its place


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


class PauseCause(StrEnum):
    """Why a job paused by itself, as a code that programs may rely on. It goes on by itself when that is healed."""

    DISK_FULL = "disk_full"
    DISK_READ_ONLY = "disk_read_only"
    DATABASE_REFUSES_WRITES = "database_refuses_writes"
    REDIS_REFUSES_WRITES = "redis_refuses_writes"


class ScheduleState(StrEnum):
    """Where a schedule stands. `removed` is final; its history is kept."""

    ACTIVE = "active"
    PAUSED = "paused"
    REMOVED = "removed"


class CatchUp(StrEnum):
    """What happens to due times that came while no scheduler looked."""

    LATEST = "latest"
    ALL = "all"
    NONE = "none"


class Overlap(StrEnum):
    """What happens to a due time that comes while a job of the same schedule is not finished."""

    SKIP = "skip"
    QUEUE = "queue"


class RunState(StrEnum):
    """What became of a due time."""

    SUBMITTED = "submitted"
    MISSED = "missed"
    SKIPPED = "skipped"


class RunCause(StrEnum):
    """Why a due time has no job, as a code that programs may rely on."""

    DOWNTIME = "downtime"
    NO_CHAMPION = "no_champion"
    PREVIOUS_UNFINISHED = "previous_unfinished"
    PAUSED = "paused"
    REMOVED = "removed"
    UNREADABLE = "unreadable"


class KeyRole(StrEnum):
    """What the holder of an API key may do; each role may do what those before it may."""

    READ = "read"
    OPERATE = "operate"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        """The role as a number: a higher one may do all that a lower one may."""
        return list(type(self)).index(self)


class DeliveryState(StrEnum):
    """Where the delivery of an event to a webhook stands."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"


class Trust(StrEnum):
    """Whether the outcomes of a scoring job are used: to learn from, and to judge by."""

    TRUSTED = "trusted"
    SURPRISING = "surprising"  # not used until another night confirms it, or a person accepts it
    CONTRADICTING = "contradicting"  # not used until it is corrected, or a person accepts it
    ACCEPTED = "accepted"  # by a person
    REJECTED = "rejected"  # by a person


class RemovalCause(StrEnum):
    """Why results were removed."""

    ERASURE = "erasure"
    RETENTION = "retention"


JOB_MOVES: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.PAUSED, JobState.FAILED, JobState.CANCELLED}),
    JobState.RUNNING: frozenset({JobState.PAUSED, JobState.DONE, JobState.FAILED, JobState.CANCELLED}),
    # Shards that were running at the pause go on, so a paused job may end.
    JobState.PAUSED: frozenset({JobState.QUEUED, JobState.RUNNING, JobState.DONE, JobState.FAILED, JobState.CANCELLED}),
    JobState.DONE: frozenset(),
    JobState.FAILED: frozenset({JobState.QUEUED, JobState.RUNNING}),  # `retry`
    JobState.CANCELLED: frozenset(),
}

SHARD_MOVES: dict[ShardState, frozenset[ShardState]] = {
    ShardState.WAITING: frozenset({ShardState.RUNNING, ShardState.CANCELLED}),
    ShardState.RUNNING: frozenset(
        {ShardState.WAITING, ShardState.DONE, ShardState.FAILED, ShardState.CANCELLED, ShardState.SPLIT}
    ),
    ShardState.DONE: frozenset(),
    ShardState.FAILED: frozenset({ShardState.WAITING}),  # `retry` of the job
    ShardState.CANCELLED: frozenset({ShardState.WAITING}),  # the same, where a failing job took it along
    ShardState.SPLIT: frozenset(),
}

SCHEDULE_MOVES: dict[ScheduleState, frozenset[ScheduleState]] = {
    ScheduleState.ACTIVE: frozenset({ScheduleState.PAUSED, ScheduleState.REMOVED}),
    ScheduleState.PAUSED: frozenset({ScheduleState.ACTIVE, ScheduleState.REMOVED}),
    ScheduleState.REMOVED: frozenset(),
}

USED = frozenset({Trust.TRUSTED, Trust.ACCEPTED})
SAID_BY_A_PERSON = frozenset({Trust.ACCEPTED, Trust.REJECTED})

ENDED_JOB_STATES = frozenset({JobState.DONE, JobState.FAILED, JobState.CANCELLED})
OPEN_JOB_STATES = frozenset(JobState) - ENDED_JOB_STATES
ACTIVE_JOB_STATES = frozenset({JobState.RUNNING, JobState.PAUSED})  # shards may be running


# Smaller goes first.
class NetworkSize(StrEnum):
    """How wide a network is trained: what a user may choose between speed and what it can learn."""

    SMALL = "small"
    USUAL = "usual"
    LARGE = "large"


PRIORITIES: dict[str, int] = {"interactive": 10, "normal": 100, "nightly": 200}

QUEUE_OF_KIND: dict[JobKind, str] = {
    JobKind.SCORING: "scoring",
    JobKind.TRAINING: "training",
    JobKind.FINE_TUNING: "training",
    JobKind.MONITORING: "monitoring",
}
ALL_QUEUES = tuple(dict.fromkeys(QUEUE_OF_KIND.values()))
