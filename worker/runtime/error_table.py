"""The errors of a worker, and the reaction to each kind: one table."""

import errno
from enum import StrEnum

from db.errors import (
    DatabaseUnreachableError,
    DatabaseWriteRefusedError,
    KeySecretMissingError,
    LeaseLostError,
    SourceError,
)
from db.schema.states import FailureCause, PauseCause
from transformer.errors import BundleError, SchemaError, TrainingDataError


class Action(StrEnum):
    """The reaction to an error."""

    RETRY = "retry"  # the shard waits again, or fails when it was tried too often
    FAIL_JOB = "fail_job"  # trying again cannot help
    PAUSE = "pause"  # nothing is wrong with the shard: it waits again, no attempt is charged, its job pauses
    DROP = "drop"  # the shard is no longer ours, or the database is unreachable: the lease will expire


# Disk full, over quota, read-only file system: it heals when someone makes room.
_FULL_OR_READ_ONLY = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
_ACTIONS: tuple[tuple[type[BaseException], Action], ...] = (
    (LeaseLostError, Action.DROP),
    (DatabaseUnreachableError, Action.DROP),
    (DatabaseWriteRefusedError, Action.PAUSE),
    (SourceError, Action.FAIL_JOB),
    (KeySecretMissingError, Action.FAIL_JOB),
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
    """Return the reaction to an error; errors that are not in the table are tried again."""
    if isinstance(error, OSError) and error.errno in _FULL_OR_READ_ONLY:
        return Action.PAUSE
    return next((action for kind, action in _ACTIONS if isinstance(error, kind)), Action.RETRY)


def cause_of(error: BaseException) -> FailureCause:
    """Return the code under which the job fails."""
    return next((cause for kind, cause in _CAUSES if isinstance(error, kind)), FailureCause.SHARD_FAILED)


def pause_cause_of(error: BaseException) -> PauseCause:
    """Return the code under which the job pauses."""
    if isinstance(error, DatabaseWriteRefusedError):
        return PauseCause.DISK_FULL if error.is_disk_full else PauseCause.DATABASE_REFUSES_WRITES
    is_read_only = isinstance(error, OSError) and error.errno == errno.EROFS
    return PauseCause.DISK_READ_ONLY if is_read_only else PauseCause.DISK_FULL
