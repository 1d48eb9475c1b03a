"""Whoever can write to Redis cannot harm a worker: what is not ours is dropped, counted, and never logged."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from celery import Celery
from sqlalchemy import Engine

from db.connections.engine import opened_engine, reading
from db.operations.dropped_messages import read_dropped
from db.operations.metrics import read_metrics
from db.operations.processes import list_processes
from scheduler.loop.hint_dispatch import open_producer
from tests.servers.redis_server import RedisServer
from tests.waiting import wait_for
from worker.contract.messages import (
    MONITORING_QUEUE,
    ONLINE_QUEUE,
    ONLINE_TASK,
    QUEUES,
    TASK_OF_QUEUE,
    online_hint,
    shard_hint,
)
from worker.process.receiving import clean_message

SECRET = "Ada-Lovelace"
REQUEST = "0123456789abcdef0123456789abcdef"
TASKS = TASK_OF_QUEUE | {ONLINE_QUEUE: ONLINE_TASK}


def sent(redis_server: RedisServer, queue: str) -> dict[str, Any]:
    """A message as the scheduler puts it on a queue."""
    producer: Celery = open_producer(redis_server.url)
    given: dict[str, Any] = online_hint(REQUEST) if queue == ONLINE_QUEUE else dict(shard_hint(7))
    producer.send_task(TASKS[queue], kwargs=given, queue=queue, retry=False)
    producer.close()
    with redis_server.client() as client:
        return json.loads(client.rpop(queue))


def with_body(message: dict[str, Any], body: Any) -> dict[str, Any]:
    return message | {"body": base64.b64encode(json.dumps(body).encode()).decode()}


def strange(message: dict[str, Any]) -> dict[str, bytes]:
    """Messages that are not ours, by what is wrong with them."""
    headers, properties = message["headers"], message["properties"]
    follows = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    changed: dict[str, Any] = {
        "no object": 7,
        "no headers": {name: value for name, value in message.items() if name != "headers"},
        "no properties": message | {"properties": SECRET},
        "other type": message | {"content-type": "application/x-python-serialize"},
        "unknown task": message | {"headers": headers | {"task": SECRET}},
        "no body": message | {"body": None},
        "body not encoded": message | {"body": SECRET},
        "other encoding": message | {"properties": properties | {"body_encoding": SECRET}},
        "wrong names": with_body(message, [[], {SECRET: 1}, follows]),
        "wrong values": with_body(message, [[], {"shard_id": SECRET, "request_id": SECRET}, follows]),
        "wrong type": with_body(message, [[], {"shard_id": 2**70}, follows]),
        "by position": with_body(message, [[1], {}, follows]),
        "huge": with_body(message, [[SECRET * 400_000], {}, follows]),
        "wrong expiry": message | {"headers": headers | {"expires": SECRET}},
    }
    raw = {name: json.dumps(value).encode() for name, value in changed.items()}
    return raw | {"bytes": b"\xff\xfe" + SECRET.encode(), "text": SECRET.encode(), "deep": b"[" * 200_000, "empty": b""}


@pytest.mark.parametrize("queue", [*QUEUES, ONLINE_QUEUE])
def test_a_message_of_ours_is_made_anew_and_no_other_passes(
    redis_url: str, redis_server: RedisServer, queue: str
) -> None:
    message = sent(redis_server, queue)
    clean = clean_message(message | {"headers": message["headers"] | {"timelimit": [1, 1], "eta": SECRET}}, queue)
    assert clean is not None
    positional, named, follows = json.loads(base64.b64decode(clean["body"]))
    assert (positional, named) == ([], online_hint(REQUEST) if queue == ONLINE_QUEUE else shard_hint(7))
    assert not any(follows.values())
    assert clean["headers"]["task"] == TASKS[queue]
    assert SECRET not in json.dumps(clean)
    chained = with_body(message, [[], named, {"chain": [SECRET]}])
    assert SECRET not in json.dumps(clean_message(chained, queue))
    for name, raw in strange(message).items():
        if name not in {"bytes", "text", "deep", "empty"}:
            assert clean_message(json.loads(raw), queue) is None, name


@pytest.fixture
def sqlite_engine(sqlite_url: str) -> Iterator[Engine]:
    """An engine on an empty installation."""
    with opened_engine(sqlite_url) as opened:
        yield opened


@pytest.fixture
def worker(sqlite_engine: Engine, redis_url: str, tmp_path: Path) -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
    """A worker, and its log. All queues are read in one way; this one's children need no TensorFlow."""
    log = tmp_path / "log"
    url = sqlite_engine.url.render_as_string(hide_password=False)
    settings = {"HOME": str(tmp_path), "DATABASE_URL": url, "REDIS_URL": redis_url, "LOST_AFTER_SECONDS": "60"}
    environment = os.environ | {f"TIDEMARK_{name}": value for name, value in settings.items()}
    with log.open("wb") as file:
        command = [sys.executable, "-m", "worker", "--queues", MONITORING_QUEUE, "--concurrency", "1"]
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
        try:
            wait_for(lambda: "Worker process ready" in log.read_text(), 240, "the worker to be ready")
            yield process, log
        finally:
            for child in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []:
                child.kill()
            process.kill()
            process.wait()


def test_a_worker_drops_what_is_not_ours_counts_it_and_works_on(
    worker: tuple["subprocess.Popen[bytes]", Path], sqlite_engine: Engine, redis_server: RedisServer
) -> None:
    process, log = worker
    children = {child.pid for child in psutil.Process(process.pid).children()}
    counts = 0
    with redis_server.client() as client:
        for raw in strange(sent_apart(MONITORING_QUEUE)).values():
            client.lpush(MONITORING_QUEUE, raw)
            counts += 1

        def dropped() -> int:
            with reading(sqlite_engine) as connection:
                return sum(read_dropped(connection).values())

        wait_for(lambda: dropped() >= counts, 240, "every message to be dropped and counted")
        assert dropped() == counts
        producer = open_producer(redis_server.url)
        producer.send_task(TASKS[MONITORING_QUEUE], kwargs=shard_hint(7), queue=MONITORING_QUEUE, retry=False)
        producer.close()
        wait_for(lambda: not client.llen(MONITORING_QUEUE), 120, "our own message to be taken")
    assert process.poll() is None
    assert children == {child.pid for child in psutil.Process(process.pid).children()}
    assert SECRET not in log.read_text()
    assert set(read_metrics(sqlite_engine).dropped_messages) == {MONITORING_QUEUE, "unreadable"}
    assert [one.is_alive for one in list_processes(sqlite_engine)] == [True]


def sent_apart(queue: str) -> dict[str, Any]:
    """A message of ours as it stands in Redis, made without sending it."""
    given: dict[str, Any] = online_hint(REQUEST) if queue == ONLINE_QUEUE else dict(shard_hint(7))
    headers = {"lang": "py", "task": TASKS[queue], "id": REQUEST, "root_id": REQUEST, "expires": None}
    properties = {"body_encoding": "base64", "delivery_tag": REQUEST, "delivery_info": {"routing_key": queue}}
    message = {"headers": headers, "properties": properties, "content-type": "application/json"}
    return with_body(message | {"content-encoding": "utf-8"}, [[], given, {}])
