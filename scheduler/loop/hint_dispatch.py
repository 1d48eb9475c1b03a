"""Puts hints for waiting shards on the Redis queues. Lost, duplicated or reordered hints cost only time."""

from collections.abc import Iterable, Mapping
from logging import getLogger

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError, ResponseError

from db.connections.engine import Engine
from db.ledger.dispatch_hints import Hint, list_unhinted, mark_hinted
from scheduler.errors import RedisRefusesWritesError, RedisUnreachableError
from worker.contract.messages import REDIS_TIMEOUT_SECONDS, TASK_OF_QUEUE, celery_settings, shard_hint

logger = getLogger(__name__)

WINDOW = 200  # messages on one queue at most: enough for any number of idle workers, little to sift after a cancel
REPEAT_SECONDS = 10.0  # a shard that still waits after so long on an empty queue is named again
_PROBE_KEY = "tidemark:probe"


def open_producer(broker_url: str) -> Celery:
    """Return a Celery application that only sends. Nothing is connected yet."""
    app = Celery("tidemark", broker=broker_url, set_as_current=False)
    timeouts = {"socket_timeout": REDIS_TIMEOUT_SECONDS, "socket_connect_timeout": REDIS_TIMEOUT_SECONDS}
    # Tried only once: the next check comes soon, and the loop has to renew leases meanwhile.
    once = {"max_retries": 1, "interval_start": 0, "interval_step": 0}
    app.conf.update(celery_settings(), broker_transport_options=timeouts | once)
    return app


def dispatch_waiting(engine: Engine, producer: Celery, *, repeat_seconds: float = REPEAT_SECONDS) -> int:
    """Send a hint for each waiting shard that needs one, most urgent first; return how many were sent.

    Raises `RedisUnreachableError`; `RedisRefusesWritesError` with the queues that take no message, when the others have
    theirs. Shards whose hint was not sent are named again by a later call.
    """
    waiting = list_unhinted(engine, repeat_seconds=repeat_seconds, limit=WINDOW)
    refusals: dict[str, RedisRefusesWritesError] = {}
    sent: list[int] = []
    try:
        for queue in dict.fromkeys(hint.queue for hint in waiting):
            try:
                _send(producer, queue, [hint for hint in waiting if hint.queue == queue], sent)
            except RedisRefusesWritesError as error:
                refusals[queue] = error
    finally:
        mark_hinted(engine, sent)
    if refusals:
        raise RedisRefusesWritesError(next(iter(refusals.values())).reason, queues=tuple(refusals))
    return len(sent)


def _send(producer: Celery, queue: str, hints: list[Hint], sent: list[int]) -> None:
    try:
        with producer.connection_for_write() as connection:
            depth = connection.default_channel.queue_declare(queue=queue).message_count
            for hint in choose_hints(hints, {queue: depth}, window=WINDOW):
                task, named = TASK_OF_QUEUE[queue], shard_hint(hint.shard_id)
                producer.send_task(task, kwargs=named, queue=queue, connection=connection, retry=False)
                sent.append(hint.shard_id)
    except (OperationalError, RedisError, OSError) as error:
        raise _translate(error) from error


def choose_hints(waiting: Iterable[Hint], depths: Mapping[str, int], *, window: int) -> list[Hint]:
    """Keep as many hints per queue as its window has room; a hint that was sent before needs an empty queue."""
    room = {queue: window - depth for queue, depth in depths.items()}
    chosen: list[Hint] = []
    for hint in waiting:
        is_needed = not hint.was_sent or depths[hint.queue] == 0
        if is_needed and room[hint.queue] > 0:
            room[hint.queue] -= 1
            chosen.append(hint)
    return chosen


def require_writable_redis(producer: Celery) -> None:
    """Write to Redis, a key that expires. Raises `RedisUnreachableError` or `RedisRefusesWritesError`."""
    try:
        with producer.connection_for_write() as connection:
            connection.default_channel.client.set(_PROBE_KEY, "1", ex=60)
    except (OperationalError, RedisError, OSError) as error:
        raise _translate(error) from error


def _translate(error: Exception) -> RedisUnreachableError:
    """Kombu wraps what redis-py says; an answer that is an error is a refusal, no answer is a lost server."""
    said: BaseException | None = error
    while said is not None and not isinstance(said, ResponseError):
        said = said.__cause__
    return RedisUnreachableError(str(error)) if said is None else RedisRefusesWritesError(str(said))
