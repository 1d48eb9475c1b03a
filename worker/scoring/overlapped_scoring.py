"""Scores one shard while the next is read and the previous one is written.

main thread     score 1 | score 2 | score 3
reader          read 2  | read 3  | ...       claimed where more wait than other workers are busy
writer                  | write 1 | write 2

At most three shards are in memory. Each keeps its own claim, so a process that dies loses at most three leases.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from logging import getLogger
from time import monotonic, perf_counter
from typing import TypeVar

import pandas as pd

from db.errors import DatabaseError
from db.ledger.shard_leases import Claim, give_back
from db.results.shard_results import ShardResult
from worker.contract.messages import SCORING_QUEUE
from worker.runtime.context import WorkerContext, answered
from worker.runtime.heartbeat import Heartbeat
from worker.scoring.model_cache import ModelSlot
from worker.scoring.shard_scoring import model_of, read_claimed, score_claimed, score_next_shard, write_claimed

logger = getLogger(__name__)

GO_ON_SECONDS = 5.0  # then the task ends, and a worker that is to stop can
LOOK_SECONDS = 0.02

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class _Shard:
    """A claimed shard with its heartbeat; `frame` is None until it has been read."""

    claim: Claim
    heartbeat: Heartbeat
    frame: pd.DataFrame | None
    started: float


def work_on_shards(context: WorkerContext, slot: ModelSlot, hint: int | None = None) -> None:
    """Score the hinted shard, or the best waiting one; overlapped with others where the settings allow it.

    Not with one attempt per shard: a dead worker would also fail the shards that it had read or not yet written.
    """
    if not context.settings.overlap or context.settings.max_attempts == 1:
        score_next_shard(context, slot, hint)
        return
    claim = context.claim(SCORING_QUEUE, hint)
    if claim is None:
        return
    with ThreadPoolExecutor(1, "reader") as reader, ThreadPoolExecutor(1, "writer") as writer:
        _Overlap(context, slot, reader, writer).run(claim)


class _Overlap:
    def __init__(
        self, context: WorkerContext, slot: ModelSlot, reader: ThreadPoolExecutor, writer: ThreadPoolExecutor
    ) -> None:
        self._own = replace(context, between_batches=self._between_batches)
        self._context, self._slot, self._reader, self._writer = context, slot, reader, writer
        self._ahead: Future[_Shard | None] | None = None
        self._behind: Future[None] | None = None
        self._ends = monotonic() + GO_ON_SECONDS

    def run(self, claim: Claim) -> None:
        """Score the shard and further ones, until the time is over or none is waiting."""
        shard: _Shard | None = self._unread(claim)
        try:
            while shard is not None:
                self._score(shard)
                shard = self._next()
        except BaseException:
            self._give_back_what_was_read()
            raise

    def _unread(self, claim: Claim) -> _Shard:
        return _Shard(claim, self._own.heartbeat(claim), None, perf_counter())

    def _next(self) -> _Shard | None:
        """Return the shard that was read ahead, or else read one now while the last one is written."""
        shard, self._ahead = self._result_of(self._ahead, self._context.between_batches), None
        if shard is not None or monotonic() >= self._ends:
            return shard
        claim = self._context.claim(SCORING_QUEUE)
        return None if claim is None else self._unread(claim)

    def _score(self, shard: _Shard) -> None:
        claim, is_first_attempt = shard.claim, shard.claim.attempt == 1
        with answered(self._context, claim):
            shard.heartbeat()
            if not is_first_attempt:  # it may kill its worker: nothing else is to be lost with it
                self._result_of(self._behind, shard.heartbeat)
            schema = self._slot.scorer(model_of(claim)).schema
            frame = read_claimed(self._context, claim, schema) if shard.frame is None else shard.frame
            if is_first_attempt and monotonic() < self._ends:
                self._ahead = self._reader.submit(self._read_next)
            result = score_claimed(self._context, self._slot, claim, frame, shard.heartbeat)
            self._result_of(self._behind, shard.heartbeat)  # one at a time: memory is bounded
            self._behind = self._writer.submit(self._write, claim, result, shard.started)
        if not is_first_attempt:
            self._result_of(self._behind, self._context.between_batches)

    def _read_next(self) -> _Shard | None:
        """In the reader's thread: claim a shard and read it, if its model is loaded."""
        context = self._context
        try:
            claim = context.claim_ahead(SCORING_QUEUE)
        except DatabaseError as error:
            logger.info("No shard was claimed in advance: %s", error)
            return None
        if claim is None:
            return None
        shard, scorer = self._unread(claim), self._slot.held(model_of(claim))
        if scorer is None:
            return shard
        with answered(context, claim):
            return replace(shard, frame=read_claimed(context, claim, scorer.schema))
        return None

    def _write(self, claim: Claim, result: ShardResult, started: float) -> None:
        """In the writer's thread."""
        with answered(self._context, claim):
            write_claimed(self._context, claim, result, started=started)

    def _between_batches(self) -> None:
        self._context.between_batches()
        shard = self._ahead.result() if self._ahead is not None and self._ahead.done() else None
        if shard is not None:
            with suppress(DatabaseError):  # raised when its turn comes
                shard.heartbeat.renew_if_due()

    @staticmethod
    def _result_of(future: Future[_Result] | None, meanwhile: Callable[[], None]) -> _Result | None:
        """Wait, and renew leases meanwhile, so that a slow database costs no lease."""
        while future is not None and not future.done():
            wait([future], LOOK_SECONDS)
            meanwhile()
        return None if future is None else future.result()

    def _give_back_what_was_read(self) -> None:
        shard = None if self._ahead is None else self._ahead.result()
        if shard is not None:
            with suppress(DatabaseError):  # else its lease ends
                give_back(self._context.engine, shard.claim, worker=self._context.name)
