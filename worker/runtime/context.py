"""The context of a worker process: created once per process, after the fork."""

import os
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from logging import getLogger
from pathlib import Path

from db.connections.engine import Engine, open_engine
from db.connections.private_files import make_private_folder
from db.errors import DatabaseError, LeaseLostError
from db.ledger.automatic_pauses import Trouble, pause_claimed
from db.ledger.job_closing import fail_shard
from db.ledger.job_lifecycle import fail_job
from db.ledger.shard_leases import Claim, claim_ahead, claim_shard, give_back, retry_later
from db.schema.states import QUEUE_OF_KIND
from db.settings import DatabaseSettings
from worker.runtime.error_table import Action, action_for, cause_of, pause_cause_of
from worker.runtime.heartbeat import Heartbeat
from worker.runtime.settings import WorkerSettings
from worker.runtime.turns import Turns

logger = getLogger(__name__)


@dataclass(frozen=True)
class WorkerContext:
    """Engine, settings and name of one worker process."""

    engine: Engine
    settings: WorkerSettings
    name: str
    key_secret: str | None = field(default=None, repr=False)
    between_batches: Callable[[], None] = lambda: None  # what must not wait for the end of a shard
    turns: Turns | None = None  # without, every claim goes by priority

    def close(self) -> None:
        """Close the connections; the next statement would open new ones."""
        self.engine.dispose()

    def claim(self, queue: str, hint: int | None = None) -> Claim | None:
        """Claim the hinted shard, or the best waiting one of the queue; None if nothing waits."""
        lease, turn = self.settings.lease_of(queue), self._is_turn_of_oldest(queue)
        return claim_shard(self.engine, queue, worker=self.name, lease_seconds=lease, hint=hint, oldest_first=turn)

    def claim_ahead(self, queue: str) -> Claim | None:
        """Claim a shard to read while another one is scored, if enough are waiting."""
        lease, turn = self.settings.lease_of(queue), self._is_turn_of_oldest(queue)
        return claim_ahead(self.engine, queue, worker=self.name, lease_seconds=lease, oldest_first=turn)

    def heartbeat(self, claim: Claim) -> Heartbeat:
        """Return the heartbeat for a shard that was just claimed."""
        return Heartbeat(
            self.engine,
            claim,
            lease_seconds=self.settings.lease_of(QUEUE_OF_KIND[claim.job.kind]),
            every_seconds=self.settings.heartbeat_seconds,
            between_batches=self.between_batches,
        )

    def _is_turn_of_oldest(self, queue: str) -> bool:
        return self.turns is not None and self.turns.take(queue)


def open_context(settings: WorkerSettings, database: DatabaseSettings) -> WorkerContext:
    """Create the context of this process, which has to close it. The engine connects at its first use."""
    name = f"{socket.gethostname()}:{os.getpid()}"
    if settings.models_url is None:  # a folder that hosts share is its owner's business
        with suppress(OSError):  # reported when a bundle cannot be written
            make_private_folder(Path(settings.bundles_url))
    turns = Turns(settings.oldest_first_every)
    return WorkerContext(open_engine(database.url), settings, name, database.key_secret_text, turns=turns)


@contextmanager
def claimed_shard(context: WorkerContext, queue: str, hint: int | None) -> Generator[Claim | None]:
    """Yield a claimed shard of the queue (None if nothing is waiting), and handle its end.

    After an error, the shard is released, tried later, failed or left to its lease, or its job pauses,
    as the table in `worker.runtime.error_table` says; the error is logged here, once.
    """
    claim = context.claim(queue, hint)
    if claim is None:
        yield None
        return
    with answered(context, claim):
        yield claim


@contextmanager
def answered(context: WorkerContext, claim: Claim) -> Generator[None]:
    """Handle the end of a claimed shard, as `claimed_shard` does."""
    try:
        yield
    except (SystemExit, KeyboardInterrupt):
        give_back(context.engine, claim, worker=context.name)
        raise
    except Exception as error:  # noqa: BLE001 - the border of a task
        _answer(context, claim, error)


def _answer(context: WorkerContext, claim: Claim, error: Exception) -> None:
    action = action_for(error)
    where = f"job {claim.job.id}, shard {claim.ordinal}, attempt {claim.attempt}"
    if isinstance(error, LeaseLostError):
        logger.warning("The lease was lost, nothing was written: %s.", where)
        return
    logger.error("The shard failed (%s): %s.", action, where, exc_info=error)
    try:
        _carry_out(context, claim, action, error)
    except DatabaseError as trouble:
        logger.error("The failure could not be stored (%s); the lease will expire: %s.", trouble, where)  # noqa: TRY400


def _carry_out(context: WorkerContext, claim: Claim, action: Action, error: Exception) -> None:
    said = f"{type(error).__name__}: {error}"[:2000]
    if action is Action.PAUSE:
        trouble = Trouble(pause_cause_of(error), str(error), context.settings.pause_seconds)
        pause_claimed(context.engine, claim, trouble, worker=context.name)
    elif action is Action.FAIL_JOB:
        fail_job(context.engine, claim.job.id, cause_of(error), str(error)[:2000], who=context.name)
    elif action is Action.RETRY and claim.attempt >= context.settings.max_attempts:
        fail_shard(context.engine, claim, said, worker=context.name)
    elif action is Action.RETRY:
        delay = context.settings.retry_delay_seconds * 2 ** (claim.attempt - 1)
        retry_later(context.engine, claim, said, delay_seconds=delay, worker=context.name)
