"""Fixtures of the API's tests: a running API on each database, and one with a scored book."""

from collections.abc import Iterator

import httpx
import pytest
from sqlalchemy import Engine

from db.results.shard_results import complete_scored_shard
from tests.building import add_model, claim, load_book, result_for, start_scoring
from tests.integration.api.server import RunningApi, running_api

RECORDS, REJECTED = 25, 3


@pytest.fixture
def engine(sqlite_engine: Engine) -> Engine:
    """An engine on SQLite; files whose subject is the database ask for each kind."""
    return sqlite_engine


@pytest.fixture
def api(engine: Engine) -> Iterator[RunningApi]:
    """A running API on an empty database."""
    with running_api(engine, api_stream_seconds=2) as running:
        yield running


@pytest.fixture
def admin(api: RunningApi) -> httpx.Client:
    """A client that may do everything."""
    return api.client(api.key())


@pytest.fixture
def scored_job(engine: Engine) -> int:
    """A finished scoring job over 25 records, 3 of them rejected."""
    load_book(engine, list(range(1, RECORDS + 1)), reject_budget=1.0)
    add_model(engine)
    job = start_scoring(engine)
    for first in (REJECTED, 0, 0):
        claimed = claim(engine)
        complete_scored_shard(engine, claimed, result_for(engine, claimed, rejected=first), worker="w1")
    return job.id
