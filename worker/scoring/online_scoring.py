"""Answers online requests with the champion: reads records from SQL, scores, writes the answer, announces it.

Redis carries the request's id alone. An answer is not written if no client is waiting.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from logging import getLogger
from time import monotonic, perf_counter
from typing import Any, Self, cast

import numpy as np
import pandas as pd
import redis
from numpy.typing import NDArray
from redis.backoff import NoBackoff
from redis.client import PubSub
from redis.retry import Retry

from db.access.online_requests import OnlineRequest, find_request, store_answer
from db.errors import DatabaseError
from db.operations.dropped_messages import add_dropped
from db.portfolios.catalog import Portfolio, get_portfolio
from db.sources.event_times import as_microseconds
from transformer.bundles.bundle import load_bundle
from transformer.errors import BundleError, SchemaError
from transformer.scoring.scorer import ScoredRecords, Scorer
from worker.contract.messages import (
    BELL_SECONDS,
    ONLINE_ANSWERS,
    ONLINE_CALLS,
    ONLINE_LIST,
    ONLINE_QUEUE,
    REDIS_TIMEOUT_SECONDS,
    bell_of,
    is_request_id,
)
from worker.contract.redis_address import client_url
from worker.records.given_events import EVENTS, read_given_events
from worker.runtime.context import WorkerContext
from worker.runtime.portfolio_mapping import scale_of
from worker.scoring.model_cache import ModelSlot

logger = getLogger(__name__)

LOOK_SECONDS = 0.015  # a batch takes a third of it
ASK_SECONDS = 0.5  # a call may get lost; asking Redis costs ten times as much as looking whether it called
AGAIN_SECONDS = 2.0  # without Redis shards are scored anyway
BATCH_ROWS = 32  # a single record must not wait for a batch of a thousand
_REASON_TEXTS = {"not_a_number": "expected a number", "infinite": "expected a finite number"}


@dataclass
class OnlineAnswerer:
    """Answers online requests; exists as long as the worker process, with its model loaded and warm."""

    context: WorkerContext
    slot: ModelSlot
    bell: "redis.Redis"
    look_at: float = 0.0
    ask_at: float = 0.0
    calls: PubSub | None = None

    @classmethod
    def for_worker(cls, context: WorkerContext) -> Self:
        """Return the answerer of this process. Its model has its own slot, so that a night's shards do not evict it."""
        slot = ModelSlot(context.engine, context.settings.bundles_url, _load_scorer)
        limits = {"socket_timeout": REDIS_TIMEOUT_SECONDS, "socket_connect_timeout": REDIS_TIMEOUT_SECONDS}
        # A batch must not wait for another try.
        bell = redis.Redis.from_url(client_url(context.settings.broker_url), retry=Retry(NoBackoff(), 0), **limits)
        return cls(context, slot, bell)

    def answer_waiting(self) -> None:
        """Answer the waiting requests; called between two batches of a shard, so it raises nothing."""
        if monotonic() < self.look_at:
            return
        pause = LOOK_SECONDS
        try:
            if self._is_called() or monotonic() >= self.ask_at:
                self._answer_listed()
                self.ask_at = monotonic() + ASK_SECONDS
        except (redis.RedisError, DatabaseError) as error:
            logger.warning("Online requests have to wait: %s", error)
            self.stop_listening()
            pause = AGAIN_SECONDS
        self.look_at = monotonic() + pause

    def _answer_listed(self) -> None:
        strange = 0
        while (waiting := self.bell.rpop(ONLINE_LIST)) is not None:
            request_id = cast("bytes", waiting).decode(errors="replace")
            if is_request_id(request_id):
                self.answer(request_id)
            else:
                strange += 1
        if strange:
            add_dropped(self.context.engine, {ONLINE_QUEUE: strange})
            logger.warning("Foreign online requests dropped: %d.", strange)

    def stop_listening(self) -> None:
        """Stop listening until the next check, because unread calls would accumulate."""
        calls, self.calls = self.calls, None
        if calls is not None:
            with suppress(redis.RedisError):
                calls.close()

    def answer(self, request_id: str) -> bool:
        """Answer one request; return whether someone waited for it."""
        started = perf_counter()
        request = find_request(self.context.engine, request_id)
        if request is None:
            return False
        portfolio = get_portfolio(self.context.engine, request.portfolio)
        answer = self._score(portfolio, request)
        if not store_answer(self.context.engine, request_id, json.dumps(answer)):
            return False
        self._ring(request_id)
        log_fields = (portfolio.name, answer.get("model_version"), perf_counter() - started)
        logger.info("Online request answered: portfolio %s, model %s, %.3f s.", *log_fields)
        return True

    def _is_called(self) -> bool:
        """Whether Redis announced a request since the last check; only reads a socket."""
        if self.calls is None:
            calls = self.bell.pubsub(ignore_subscribe_messages=True)
            calls.subscribe(ONLINE_CALLS)
            self.calls = calls
            return True
        is_called = False
        while self.calls.get_message(timeout=0) is not None:
            is_called = True
        return is_called

    def _score(self, portfolio: Portfolio, request: OnlineRequest) -> dict[str, Any]:
        if portfolio.champion is None:
            return {"error": "the portfolio has no champion"}
        try:
            scorer = self.slot.scorer(portfolio.champion)
        except BundleError as error:
            logger.error("The champion cannot be loaded: %s", error)  # noqa: TRY400 - the cause is the message
            return {"error": "the champion's bundle cannot be read"}
        try:
            return score_records(json.loads(request.records), scorer, portfolio)
        except (
            SchemaError
        ) as error:  # the portfolio has changed; the shard that is being scored has nothing to do with it
            logger.error("The champion cannot score an online request: %s", error)  # noqa: TRY400 - the same
            return {"error": str(error)}

    def _ring(self, request_id: str) -> None:
        try:
            if self.bell.publish(ONLINE_ANSWERS, request_id):
                return
            with self.bell.pipeline() as pipeline:  # an API of an older version waits, if any
                pipeline.lpush(bell_of(request_id), 1)
                pipeline.expire(bell_of(request_id), BELL_SECONDS)
                pipeline.execute()
        except redis.RedisError as error:  # the waiting API also polls the database, only later
            logger.warning("The answer to an online request could not be announced: %s", error)


def score_records(records: list[dict[str, Any]], scorer: Scorer, portfolio: Portfolio) -> dict[str, Any]:
    """Score records as received in JSON; each becomes a score or a reject, by its index in the request.

    Columns that the portfolio does not name are ignored, as in bulk loading, and listed.
    """
    definition = portfolio.definition
    moment = (definition.moment_column,) if definition.moment_column else ()
    known = {definition.key, definition.target, *moment, *definition.input_columns, *scorer.schema.columns}
    known |= {EVENTS} if definition.events else set()
    ignored = list(dict.fromkeys(name for record in records for name in record if name not in known))
    rejects = {
        index: problem
        for index, record in enumerate(records)
        if (problem := _find_missing_column(record, scorer.schema.source_columns)) is not None
    }
    now = as_microseconds(datetime.now(UTC))
    given = read_given_events(records, definition, scorer.schema, now=now)
    rejects = given.rejects | rejects
    usable = [index for index in range(len(records)) if index not in rejects]
    columns = {name: _as_column([records[index][name] for index in usable]) for name in scorer.schema.source_columns}
    frame = given.add_fields(pd.DataFrame(columns, index=range(len(usable))), usable)
    scored = scorer.score(frame)
    for problem in scored.problems:
        rejects[usable[problem.row]] = (problem.field, problem.reason, _REASON_TEXTS[problem.reason])
    keys = [_key_of(record, definition.key) for record in records]
    scores = [
        {"index": usable[row], "record_key": keys[usable[row]]} | answer
        for row, answer in _answers(scored, scorer, portfolio)
    ]
    refused = [
        {"index": index, "record_key": keys[index], "field": field, "reason": reason, "detail": detail}
        for index, (field, reason, detail) in sorted(rejects.items())
    ]
    return {"model_version": scorer.version, "scores": scores, "rejects": refused, "ignored_columns": ignored}


def _answers(scored: ScoredRecords, scorer: Scorer, portfolio: Portfolio) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the row of each scored record, and its answer."""
    scale = scale_of(portfolio.definition)
    points = scale.points_of(scored.probabilities)
    bands = scale.band_of(points)
    for at, row in enumerate(scored.rows):
        yield (
            int(row),
            {
                "probability": float(scored.probabilities[at]),
                "points": int(points[at]),
                "band": str(bands[at]),
                "reasons": _reasons_of(scored, at, scorer),
            },
        )


def _find_missing_column(record: dict[str, Any], needed: tuple[str, ...]) -> tuple[str, str, str] | None:
    missing = next((name for name in needed if name not in record), None)
    if missing is None:
        return None
    return missing, "missing_column", "the record lacks this column; send null for an unknown value"


def _reasons_of(scored: ScoredRecords, at: int, scorer: Scorer) -> list[str] | None:
    if scored.reasons is None:
        return None
    return [str(scorer.reason_codes[code]) for code in scored.reasons[at].tolist() if code >= 0]


def _as_column(values: list[Any]) -> "NDArray[Any]":
    """Read plain numbers at once: reading them one by one would take longer than scoring."""
    if all(value is None or type(value) in {int, float} for value in values):
        return np.array([np.nan if value is None else float(value) for value in values], dtype=np.float64)
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def _key_of(record: dict[str, Any], key: str) -> str | None:
    value = record.get(key)
    return None if value is None else str(value)


def _load_scorer(models_url: str, version: str) -> Scorer:
    model = load_bundle(models_url, version)
    return Scorer(model, version, batch_rows=BATCH_ROWS, explainer=model.explainer)
