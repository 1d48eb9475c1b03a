"""Takes messages off the queues: foreign messages are dropped before Celery sees them, and counted.

Anyone with write access to Redis can write anything. Only the parts known to `worker.contract.messages` are kept,
in a new message; Celery's own parser would let a message that is not JSON end the whole worker.
"""

import base64
import binascii
import json
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from queue import Empty  # what kombu's Redis transport raises where nothing is there
from typing import Any, cast
from uuid import uuid4

from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as kombu_redis

from worker.contract.messages import ONLINE_QUEUE, ONLINE_TASK, TASK_OF_QUEUE, is_request_id, online_hint, shard_hint

_TASKS = TASK_OF_QUEUE | {ONLINE_QUEUE: ONLINE_TASK}
_MOST_LETTERS = 4096  # of a body: ours has 150
_LARGEST_ID = 2**63 - 1

dropped = Counter[str]()  # by queue, since the last time that someone took them to the database


def use_strict_transport() -> None:
    """Make every connection of this process to a Redis queue drop foreign messages."""
    TRANSPORT_ALIASES["redis"] = TRANSPORT_ALIASES["rediss"] = f"{__name__}:Transport"
    TRANSPORT_ALIASES["sentinel"] = f"{__name__}:SentinelTransport"


def clean_message(message: Any, queue: str) -> dict[str, Any] | None:
    """Return one of our messages, rebuilt, or None for anything else."""
    try:
        given = _arguments_of(message, queue)
        expires = message["headers"].get("expires")
        if expires is not None:
            datetime.fromisoformat(expires)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, binascii.Error):
        return None
    return _make_message(queue, given, expires) if given is not None else None


def _arguments_of(message: Any, queue: str) -> Mapping[str, Any] | None:
    if message["content-type"] != "application/json" or message["headers"]["task"] != _TASKS[queue]:
        return None
    if message["properties"]["body_encoding"] != "base64" or len(message["body"]) > _MOST_LETTERS:
        return None
    positional, named, _ = json.loads(base64.b64decode(message["body"], validate=True))
    if positional != [] or len(named) != 1:
        return None
    if queue == ONLINE_QUEUE:
        return online_hint(named["request_id"]) if is_request_id(named["request_id"]) else None
    shard_id = named["shard_id"]
    return shard_hint(shard_id) if type(shard_id) is int and 0 < shard_id <= _LARGEST_ID else None


def _make_message(queue: str, given: Mapping[str, Any], expires: str | None) -> dict[str, Any]:
    own, nothing_follows = str(uuid4()), dict.fromkeys(("callbacks", "errbacks", "chain", "chord"))
    headers = {"lang": "py", "task": _TASKS[queue], "id": own, "root_id": own, "expires": expires, "retries": 0}
    headers |= {"timelimit": [None, None], "argsrepr": "()", "kwargsrepr": "{}"}
    headers |= dict.fromkeys(("eta", "group", "parent_id", "shadow", "origin"))
    properties = {"correlation_id": own, "delivery_mode": 2, "priority": 0, "body_encoding": "base64"}
    properties |= {"delivery_tag": str(uuid4()), "delivery_info": {"exchange": "", "routing_key": queue}}
    body = base64.b64encode(json.dumps([[], dict(given), nothing_follows]).encode()).decode()
    coding = {"content-encoding": "utf-8", "content-type": "application/json"}
    return {"body": body, "headers": headers, "properties": properties} | coding


class _StrictChannel:
    """A channel that survives a message that is not JSON; the message is off the queue by then."""

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return cast("Any", super())._brpop_read(**options)
        except (ValueError, RecursionError) as error:
            dropped["unreadable"] += 1
            raise Empty from error


class _StrictTransport:
    """A transport that delivers only clean messages."""

    def _deliver(self, message: Any, queue: str) -> None:
        clean = clean_message(message, queue)
        if clean is None:
            dropped[queue if queue in _TASKS else "unreadable"] += 1
            raise Empty
        cast("Any", super())._deliver(clean, queue)


class Channel(_StrictChannel, kombu_redis.Channel):
    """The channel of one Redis."""


class Transport(_StrictTransport, kombu_redis.Transport):
    """The transport of one Redis."""

    Channel = Channel


class SentinelChannel(_StrictChannel, kombu_redis.SentinelChannel):
    """The channel of a Redis behind Sentinel."""


class SentinelTransport(_StrictTransport, kombu_redis.SentinelTransport):
    """The transport of a Redis behind Sentinel."""

    Channel = SentinelChannel
