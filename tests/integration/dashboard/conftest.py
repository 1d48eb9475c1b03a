"""Fixtures of the dashboard's tests: the running application on each database, empty or with two nights."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from db.connections.engine import opened_engine
from db.ledger.shard_histograms import ShardMonitoring
from db.results.shard_results import complete_scored_shard
from scheduler.loop.shard_planning import plan_queued_jobs
from tests.building import add_model, claim, load_book, result_for, start_scoring
from tests.integration.api.server import RunningApi, running_api
from worker.monitoring.next_job import monitor_next_job
from worker.runtime.context import WorkerContext
from worker.runtime.settings import WorkerSettings

RECORDS = 25


@pytest.fixture
def engine(sqlite_engine: Engine) -> Engine:
    """An engine on SQLite; tests whose subject is the database ask for `any_engine`."""
    return sqlite_engine


@pytest.fixture
def any_engine(database_url: str) -> Iterator[Engine]:
    """An engine on each kind of database."""
    with opened_engine(database_url) as opened:
        yield opened


@pytest.fixture
def api(engine: Engine, tmp_path: Path) -> Iterator[RunningApi]:
    """The running application with a state folder of its own."""
    with running_api(engine, home=tmp_path) as running:
        yield running


@pytest.fixture
def two_nights(engine: Engine) -> int:
    """A book with a champion, a challenger and two monitored nights; the id of the second one's job."""
    return fill(engine)


def fill(engine: Engine) -> int:
    """Score and monitor a small book twice, some records rejected; return the second job's id."""
    load_book(engine, list(range(1, RECORDS + 1)), reject_budget=1.0)
    add_model(engine, fields={"amount": [0, 200, 400]})
    add_model(engine, "m2", champion=False)
    return [_play_night(engine) for _ in range(2)][-1]


def _play_night(engine: Engine) -> int:
    job = start_scoring(engine)
    counted = ShardMonitoring(fields={"amount": [0, 1, 4]}, migration={"D": {"D": 5, "E": 2}})
    for rejected in (3, 0, 0):
        claimed = claim(engine)
        complete_scored_shard(
            engine, claimed, replace(result_for(engine, claimed, rejected=rejected), monitored=counted), worker="w1"
        )
    plan_queued_jobs(engine, shard_rows=10)
    assert monitor_next_job(WorkerContext(engine, WorkerSettings(), "host:7"))
    return job.id
