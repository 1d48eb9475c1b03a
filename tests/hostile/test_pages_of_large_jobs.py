"""A job of 100,000 shards is looked at as quickly, and in as few bytes, as a small one."""

import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from db.connections.engine import open_engine, writing
from db.ledger.shard_map import group_shards
from db.schema.states import ShardState
from tests.integration.api.server import RunningApi, running_api
from tests.integration.dashboard.window import opened
from tests.large_jobs import MANY, job_with_one_open_shard
from tests.waiting import promised

SECONDS = promised(0.3, busy=0.6)
MEGABYTES = 20
PATIENCE = 200.0


@pytest.fixture
def api(any_database_url: str, tmp_path: Path) -> Iterator[RunningApi]:
    """An installation with a job of very many shards, three of them in trouble."""
    engine = open_engine(any_database_url)
    job_with_one_open_shard(engine)
    with writing(engine) as connection:
        _harm(connection)
    with running_api(engine, home=tmp_path) as running:
        yield running
    engine.dispose()


def test_looking_at_100000_shards_is_quick_and_takes_few_bytes(api: RunningApi) -> None:
    window, client = opened(api), api.client(api.key())
    looks = {"/jobs/1": 150_000, "/jobs/1/live": 150_000, "/v1/jobs/1": 5_000, "/jobs/1/charts/shards.svg": 1_000_000}
    texts: dict[str, str] = {}
    for path, most_bytes in looks.items():

        def look(path: str = path) -> httpx.Response:
            if path.startswith("/v1"):
                return client.get(path, timeout=PATIENCE)
            return window.page(path, seconds=PATIENCE)

        seconds, megabytes, page = _measure(look)
        assert page.status_code == 200
        assert len(page.content) < most_bytes, path
        assert seconds < (2 if path.endswith("svg") else 1) * SECONDS, (path, seconds)
        assert megabytes < MEGABYTES, path
        texts[path] = page.text
    assert "1 failed, 166 done" in texts["/jobs/1"]
    assert "A shard waits: it went wrong" in texts["/jobs/1"]
    assert f'"done":{MANY - 3},"failed":1,"running":1,"waiting":1' in texts["/v1/jobs/1"]
    assert window.page("/jobs/1/charts/shards.csv", seconds=PATIENCE).text.count("\n") == MANY + 1, (
        "the table holds every shard"
    )


def test_a_small_job_has_a_cell_for_each_shard(any_database_url: str) -> None:
    engine = open_engine(any_database_url)
    job_with_one_open_shard(engine, 600, folded=False)
    groups = group_shards(engine, 1, most=600)
    assert [(one.first, one.last) for one in groups] == [(place, place) for place in range(600)]
    assert [one.states for one in groups] == [{ShardState.WAITING: 1}, *[{ShardState.DONE: 1}] * 599]
    assert [group_shards(engine, 1, most=599)[place].states for place in (0, -1)] == [
        {ShardState.WAITING: 1, ShardState.DONE: 1},
        {ShardState.DONE: 2},
    ]
    engine.dispose()


def _harm(connection: Any) -> None:
    """One shard failed, one runs, one waits after trouble; every one was claimed and done, as the event log tells."""
    failed = "UPDATE tidemark_shards SET state = 'failed', error = 'it went wrong' WHERE ordinal = 50000"
    running = "UPDATE tidemark_shards SET state = 'running' WHERE ordinal = 70000"
    waiting = "UPDATE tidemark_shards SET error = 'it went wrong' WHERE ordinal = 0"
    log = (
        "INSERT INTO tidemark_events (at, job_id, shard_id, event, who, why) "
        "SELECT available_at, job_id, id, 'shard.done', 'w', '' FROM tidemark_shards"
    )
    for statement in (failed, running, waiting, log, "ANALYZE"):
        connection.execute(text(statement))


def _measure(look: Callable[[], Any], *, looks: int = 2) -> tuple[float, float, Any]:
    """Return the seconds of the quickest of several looks, the most memory of one, and what it shows."""
    clock = promised(perf_counter, busy=process_time)  # the processor's own, so that other tests do not count much
    seconds = []
    for _ in range(looks):
        begun = clock()
        look()
        seconds.append(clock() - begun)
    tracemalloc.start()
    try:
        shown = look()
        return min(seconds), tracemalloc.get_traced_memory()[1] / 2**20, shown
    finally:
        tracemalloc.stop()
