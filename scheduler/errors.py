"""Errors of the scheduler and its commands."""

from collections.abc import Sequence

from worker.contract.messages import QUEUES


class SchedulerError(Exception):
    """Base of every error that `scheduler` raises."""


class UsageError(SchedulerError):
    """The caller asked for something impossible: exit code 64."""


class MissingExtraError(SchedulerError):
    """A command needs a part of Tidemark that is not installed here."""

    def __init__(self, extras: Sequence[str]) -> None:
        self.extras = tuple(extras)
        named = ",".join(extras)
        word = "extras" if len(extras) > 1 else "extra"
        super().__init__(
            f"this needs the {word} {named}, not installed here: pip install 'tidemark[{named}]'. "
            "tidemark[all] is everything"
        )


class UnusableScoresError(SchedulerError):
    """The requested scores are marked as unusable; this has its own exit code."""

    def __init__(self, job_id: int, reason: str) -> None:
        self.job_id = job_id
        super().__init__(
            f"job {job_id}: its scores are marked as unusable: {reason}. "
            "Fix the cause and score again; --unusable exports them anyway"
        )


class RedisUnreachableError(SchedulerError):
    """Redis does not answer. Jobs are safe in the database and continue when it is back."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"cannot use Redis: {reason}. Check TIDEMARK_REDIS_URL and that the server is running.")


class RedisRefusesWritesError(RedisUnreachableError):
    """Redis answers but accepts no message: out of memory, a read-only replica, a full disk, or no access."""

    def __init__(self, reason: str, *, queues: tuple[str, ...] = QUEUES) -> None:
        self.queues = queues
        super().__init__(reason)
        self.args = (f"Redis refuses to write: {reason.rstrip('.')}. Jobs continue automatically once it does.",)


class WaitingTimeoutError(SchedulerError):
    """A command stopped waiting. The job continues if a process serves it; if not, `hindrance` says what is missing."""

    def __init__(self, job_id: int, state: str, seconds: float, hindrance: str = "") -> None:
        self.job_id, self.state, self.seconds = job_id, state, seconds
        outlook = (
            f"nothing is processing it: {hindrance}" if hindrance else f"it continues. See: tidemark job show {job_id}"
        )
        super().__init__(f"job {job_id} is still {state} after {seconds:g} s; {outlook}")
