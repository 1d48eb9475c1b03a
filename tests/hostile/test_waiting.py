"""Those who wait cost no thread: hundreds of online requests and of event streams, and lists are answered at once."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Engine, text

from db.connections.engine import reading, writing
from db.events.event_log import record_event
from tests.building import add_model, load_book, start_scoring
from tests.hostile.api_process import ApiProcess, api_process, head, quick
from tests.hostile.probe import probing
from tests.waiting import wait_for

WAITING = 500
STREAMS = 300
ONE = b'{"portfolio":"book","records":[{"id":1,"amount":1,"colour":"red"}]}'
PATHS = ("/healthz", "/v1/jobs")
QUICK_MEDIAN, QUICK_WORST = 0.1, 0.3


@pytest.fixture
def api(engine: Engine, any_database_url: str, redis_url: str, tmp_path: Path) -> Iterator[ApiProcess]:
    """An API whose online requests nobody answers: no worker runs."""
    load_book(engine, [1, 2, 3])
    add_model(engine)
    limits = {"api_online_seconds": 300, "api_requests_per_minute": 100_000, "redis_url": redis_url}
    with api_process(engine, any_database_url, tmp_path, **limits) as running:
        yield running


def waiting_rows(engine: Engine) -> int:
    with reading(engine) as connection:
        return connection.execute(text("SELECT count(*) FROM tidemark_online_requests")).scalar_one()


@asynccontextmanager
async def asking(api: ApiProcess, count: int, asked: bytes) -> AsyncIterator[list[asyncio.StreamReader]]:
    """Send a request on each of so many connections, and close them all at the end."""
    made = [await asyncio.open_connection(*api.address) for _ in range(count)]
    for _, writer in made:
        writer.write(asked)
    try:
        yield [reader for reader, _ in made]
    finally:
        for _, writer in made:
            writer.close()


def check_quick(api: ApiProcess, key: str, idle: float) -> None:
    with probing(api.url, *PATHS, key=key) as seen:
        pass
    for path in PATHS:
        result = (
            f"{path}: median {seen.quantile(path, 0.5):.4f} s, worst {seen.quantile(path, 1):.4f} s, idle {idle:.4f} s"
        )
        sys.stdout.write(f"{result}\n")
        assert seen.quantile(path, 0.5) < quick(idle, QUICK_MEDIAN), result
        assert seen.quantile(path, 1) < quick(idle, QUICK_WORST), result
    assert seen.wrong == 0


def test_hundreds_that_wait_for_a_worker_hold_up_nobody_and_free_their_place(api: ApiProcess, engine: Engine) -> None:
    key = api.key()
    idle = api.idle_seconds(*PATHS, key=key)
    threads = psutil.Process(api.process.pid).num_threads()
    lines = (f"Authorization: Bearer {key}", "Content-Type: application/json", f"Content-Length: {len(ONE)}")

    async def wait() -> None:
        async with asking(api, WAITING, head("/v1/score", *lines) + ONE):
            await asyncio.to_thread(wait_for, lambda: waiting_rows(engine) == WAITING, 120, "all requests to wait")
            await asyncio.to_thread(check_quick, api, key, idle)

    asyncio.run(wait())
    assert psutil.Process(api.process.pid).num_threads() < threads + 30
    wait_for(lambda: waiting_rows(engine) == 0, 120, "the places of those who left to be free")
    assert b"Traceback" not in api.log.read_bytes()


def test_hundreds_of_event_streams_hold_up_nobody_and_hear_every_event(api: ApiProcess, engine: Engine) -> None:
    key = api.key()
    job = start_scoring(engine)
    idle = api.idle_seconds(*PATHS, key=key)
    asked = head(f"/v1/jobs/{job.id}/events", f"Authorization: Bearer {key}", method="GET")

    async def follow() -> None:
        async with asking(api, STREAMS, asked) as readers:
            await asyncio.gather(*(reader.readuntil(b"event: progress") for reader in readers))
            await asyncio.to_thread(check_quick, api, key, idle)
            with writing(engine) as connection:
                record_event(connection, "shard.claimed", who="test", why="the last thing told", job_id=job.id)
            await asyncio.wait_for(
                asyncio.gather(*(reader.readuntil(b"the last thing told") for reader in readers)), 60
            )

    asyncio.run(follow())
    assert b"Traceback" not in api.log.read_bytes()
