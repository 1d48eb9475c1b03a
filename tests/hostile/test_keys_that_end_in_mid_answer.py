"""A key that is revoked while its answer is still being sent: the rest is not sent."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine, text

from db.access.api_keys import KeyRequest, create_key, revoke_key
from db.connections.engine import writing
from db.schema.states import KeyRole
from tests.building import add_model, load_book, start_scoring
from tests.hostile.scored import scored_book
from tests.integration.api.server import RunningApi, running_api
from tests.waiting import wait_for

TRAIN = {"kind": "training", "portfolio": "book"}
SOON = 5.0  # seconds; a look is taken every second, and the machine may be busy


@pytest.fixture
def api(engine: Engine, tmp_path: Path) -> Iterator[RunningApi]:
    """A running API whose streams would last for ten minutes."""
    with running_api(engine, home=tmp_path / "home", api_stream_seconds=600) as running:
        yield running


def new_key(engine: Engine, role: KeyRole = KeyRole.OPERATE) -> tuple[str, str]:
    shown, key = create_key(engine, KeyRequest("short", role), who="test")
    return shown, key.public_id


def test_a_stream_of_events_ends_soon_after_its_key(api: RunningApi, engine: Engine) -> None:
    load_book(engine, [1])
    key, key_id = new_key(engine)
    client = api.client(key)
    client.post("/v1/jobs", json=TRAIN)
    with client.stream("GET", "/v1/jobs/1/events") as answer:
        lines = answer.iter_lines()
        next(lines)
        revoke_key(engine, key_id, who="test")
        revoked_at = time.monotonic()
        with pytest.raises(httpx.RemoteProtocolError):
            list(lines)
    assert time.monotonic() - revoked_at < SOON
    assert client.get("/v1/jobs").status_code == 401


def test_a_stream_goes_on_while_its_key_is_good(api: RunningApi, engine: Engine, admin: httpx.Client) -> None:
    load_book(engine, [1])
    admin.post("/v1/jobs", json=TRAIN)
    lines: list[str] = []

    def follow() -> None:
        with admin.stream("GET", "/v1/jobs/1/events") as answer:
            lines.extend(answer.iter_lines())

    following = threading.Thread(target=follow)
    began = time.monotonic()
    following.start()
    wait_for(lambda: time.monotonic() - began > 2.5, 20, "two looks at the key")
    assert following.is_alive()
    api.client(api.key()).post("/v1/jobs/1/cancel")
    following.join(20)
    assert "event: end" in lines


def add_scores(engine: Engine, job_id: int) -> None:
    """Add so many scores that they fit into no buffer on the way: 40 MB."""
    statement = """
        WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < 100000)
        INSERT INTO tidemark_scores (job_id, record_key, shard_id, token, probability, points, band)
        SELECT :job, :long || i, 1, 1, 0.5, 500, 'D' FROM numbers
    """
    with writing(engine) as connection:
        connection.execute(text(statement), {"job": job_id, "long": "x" * 400})


@pytest.mark.parametrize("file_format", ["csv", "arrow"])
def test_an_export_is_cut_off_soon_after_its_key(api: RunningApi, engine: Engine, file_format: str) -> None:
    job_id = scored_book(engine)
    add_scores(engine, job_id)
    key, key_id = new_key(engine, KeyRole.READ)
    with api.client(key).stream("GET", f"/v1/jobs/{job_id}/scores.{file_format}") as answer:
        pieces = answer.iter_raw()
        next(pieces)
        revoke_key(engine, key_id, who="test")
        revoked_at = time.monotonic()
        wait_for(lambda: time.monotonic() - revoked_at > 2.5, 20, "a slow reader to read on")
        with pytest.raises(httpx.RemoteProtocolError):
            list(pieces)


def test_an_upload_whose_key_ended_on_the_way_loads_nothing(api: RunningApi, engine: Engine) -> None:
    load_book(engine, [1])
    key, key_id = new_key(engine)

    def body() -> Iterator[bytes]:
        yield b"id,bad,amount,colour\n"
        revoke_key(engine, key_id, who="test")
        yield b"2,0,3.5,red\n"

    answer = api.client(key).post("/v1/portfolios/book/records", content=body(), headers={"Content-Type": "text/csv"})
    assert answer.status_code == 401
    add_model(engine)
    assert start_scoring(engine).inputs == 1
