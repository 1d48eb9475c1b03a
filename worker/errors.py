"""What goes wrong in a worker, and what is done about each kind of error: one table."""

from enum import StrEnum

from db.errors import DatabaseUnreachableError, LeaseLostError, SourceError
from db.states import FailureCause
from transformer.errors import BundleError, SchemaError, TrainingDataError


class WorkerError(Exception):
    """Base of every error that `worker` raises."""


class Action(StrEnum):
    """What follows an error."""

    RETRY = "retry"  # the shard waits again, or fails when it was tried too often
    FAIL_JOB = "fail_job"  # trying again cannot help
    DROP = "drop"  # the shard is not ours any more, or the database cannot be told: the lease will end


_ACTIONS: tuple[tuple[type[BaseException], Action], ...] = (
    (LeaseLostError, Action.DROP),
    (DatabaseUnreachableError, Action.DROP),
    (SourceError, Action.FAIL_JOB),
    (BundleError, Action.FAIL_JOB),
    (SchemaError, Action.FAIL_JOB),
    (TrainingDataError, Action.FAIL_JOB),
)
_CAUSES: tuple[tuple[type[BaseException], FailureCause], ...] = (
    (SourceError, FailureCause.SOURCE_UNREADABLE),
    (SchemaError, FailureCause.SOURCE_UNREADABLE),
    (BundleError, FailureCause.MODEL_UNREADABLE),
    (TrainingDataError, FailureCause.TRAINING_DATA),
)


def action_for(error: BaseException) -> Action:
    """Return what to do about an error; what is not in the table is tried again."""
    return next((action for kind, action in _ACTIONS if isinstance(error, kind)), Action.RETRY)


def cause_of(error: BaseException) -> FailureCause:
    """Return the code under which the job fails."""
    return next((cause for kind, cause in _CAUSES if isinstance(error, kind)), FailureCause.SHARD_FAILED)
