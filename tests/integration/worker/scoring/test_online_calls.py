"""A worker that is busy with shards hears of requests that wait: by a call, and by itself where a call got lost."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

import pytest
from redis import Redis
from sqlalchemy import Engine

from benchmarks.model import make_champion
from db.access.online_requests import find_answer, store_request
from db.operations.metrics import read_metrics
from db.portfolios.catalog import get_portfolio
from scheduler.requests.online_scoring import OnlineScoring
from tests.building import BOOK, book_definition, book_frame, load_book
from tests.servers.redis_server import RedisServer
from tests.waiting import wait_for
from worker.contract.messages import ONLINE_LIST, ONLINE_QUEUE
from worker.runtime.context import WorkerContext
from worker.runtime.settings import WorkerSettings
from worker.scoring.online_scoring import AGAIN_SECONDS, ASK_SECONDS, OnlineAnswerer, score_records

FAR_AWAY = 3600.0


@pytest.fixture
def answerer(sqlite_engine: Engine, redis_url: str, tmp_path: Path) -> Iterator[OnlineAnswerer]:
    """What a worker's process answers with, on a book with a real, untrained network."""
    load_book(sqlite_engine, range(10))
    make_champion(sqlite_engine, book_definition(), tmp_path)
    settings = WorkerSettings(models_url=str(tmp_path / "models"), redis_url=redis_url)
    made = OnlineAnswerer.for_worker(WorkerContext(sqlite_engine, settings, "w1"))
    made.answer_waiting()  # listens from now on
    yield made
    made.bell.close()


def answer_until(answerer: OnlineAnswerer, request_id: str, seconds: float) -> None:
    def has_answer() -> bool:
        answerer.answer_waiting()
        return find_answer(answerer.context.engine, request_id) is not None

    wait_for(has_answer, seconds, "an answer")


def test_a_column_that_the_portfolio_does_not_name_is_ignored_and_told(answerer: OnlineAnswerer) -> None:
    portfolio = get_portfolio(answerer.context.engine, BOOK)
    assert portfolio.champion is not None
    scorer = answerer.slot.scorer(portfolio.champion)
    plain = book_frame([3, 4]).drop(columns=["tidemark_unreadable"]).to_dict("records")
    wider = [plain[0] | {"note": "x", "branch": 7}, plain[1] | {"branch": 8}]
    expected, found = score_records(plain, scorer, portfolio), score_records(wider, scorer, portfolio)
    assert found["ignored_columns"] == ["note", "branch"]
    assert (found["scores"], found["rejects"]) == (expected["scores"], expected["rejects"])
    assert expected["ignored_columns"] == []


def test_a_call_is_heard_although_nothing_is_asked(answerer: OnlineAnswerer, redis_url: str) -> None:
    records = book_frame([3]).drop(columns=["customer_id"], errors="ignore").to_dict("records")
    online = OnlineScoring(answerer.context.engine, redis_url, seconds=20)
    answerer.ask_at = monotonic() + FAR_AWAY
    with ThreadPoolExecutor(1) as caller:
        scored = caller.submit(lambda: asyncio.run(online.score(BOOK, records, until_gone=asyncio.Event().wait)))

        def is_answered() -> bool:
            answerer.answer_waiting()
            return scored.done()

        wait_for(is_answered, 20, "an answer")
    assert len(scored.result()["scores"]) + len(scored.result()["rejects"]) == 1
    online.close()


def test_a_request_whose_call_got_lost_is_found_all_the_same(
    answerer: OnlineAnswerer, redis_server: RedisServer
) -> None:
    request_id = store_request(answerer.context.engine, BOOK, "[]", seconds=60)
    with redis_server.client() as client:
        client.lpush(ONLINE_LIST, request_id)
    answer_until(answerer, request_id, ASK_SECONDS + 2)


def test_without_redis_shards_are_not_held_up_and_afterwards_it_listens_again(
    answerer: OnlineAnswerer, redis_server: RedisServer, redis_url: str
) -> None:
    redis_server.kill()
    answerer.look_at = answerer.ask_at = 0.0
    began = monotonic()
    for _ in range(1000):
        answerer.answer_waiting()
    assert monotonic() - began < 0.5
    redis_server.start()
    wait_for(lambda: _is_listened_to(answerer, redis_server), AGAIN_SECONDS + 5, "a listener")
    answerer.ask_at = monotonic() + FAR_AWAY
    request_id = store_request(answerer.context.engine, BOOK, "[]", seconds=60)
    OnlineScoring(answerer.context.engine, redis_url, seconds=20).send(request_id)
    answer_until(answerer, request_id, 5)


def test_a_worker_listens_only_while_it_works(answerer: OnlineAnswerer, redis_server: RedisServer) -> None:
    with redis_server.client() as client:
        assert _listeners(client) == 1
        answerer.stop_listening()
        wait_for(lambda: _listeners(client) == 0, 5, "the listener to be gone")
        answerer.look_at = 0.0
        answerer.answer_waiting()
        assert _listeners(client) == 1


def _is_listened_to(answerer: OnlineAnswerer, redis_server: RedisServer) -> bool:
    answerer.answer_waiting()
    with redis_server.client() as client:
        return _listeners(client) == 1


def _listeners(client: Redis) -> int:
    return len(client.client_list(_type="pubsub"))


def test_a_strange_request_is_dropped_and_counted_between_two_batches(
    answerer: OnlineAnswerer, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "Ada-Lovelace"
    for raw in (b"\xff\xfe" + secret.encode(), secret.encode() * 100_000, b"", b"\x00", b"[" * 10_000):
        answerer.bell.lpush(ONLINE_LIST, raw)
    answerer.ask_at = answerer.look_at = 0.0
    answerer.answer_waiting()
    assert answerer.bell.llen(ONLINE_LIST) == 0
    assert read_metrics(answerer.context.engine).dropped_messages == {ONLINE_QUEUE: 5}
    assert secret not in caplog.text
