"""The database is restarted, cut off in mid-COMMIT, locked and lost while a job runs."""

import random
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from db.ledger.job_lifecycle import get_job
from db.schema.states import JobState
from tests.faults.matrix import Matrix
from tests.faults.site import HELD_SHARDS, Site
from tests.servers import Pair, PostgresServer, RedisServer, TcpProxy
from tests.trained_book import TrainedBook
from tests.waiting import wait_for

RESTARTS = 5
CUTS = 10
LOCK_SECONDS = 5
pytestmark = pytest.mark.faults


class CommitCutter:
    """Cuts connections around a COMMIT: before it reaches the server, or before its answer reaches the client."""

    def __init__(self) -> None:
        self.left = {"cut": 0, "mute": 0}
        self._chance = random.Random(3)

    def __call__(self, _pair: Pair, data: bytes) -> str:
        """Say what becomes of a request; COMMITs are few between, so that work goes on between two cuts."""
        if b"COMMIT" not in data or self._chance.random() < 0.7:
            return "pass"
        how = next((name for name, left in self.left.items() if left > 0), "pass")
        if how != "pass":
            self.left[how] -= 1
        return how


@pytest.fixture
def cutter() -> CommitCutter:
    """What the proxy of `cut_site` asks about every request."""
    return CommitCutter()


@pytest.fixture
def cut_site(
    postgres_server: PostgresServer,
    redis_url: str,
    template: TrainedBook,
    matrix: Matrix,
    tmp_path: Path,
    cutter: CommitCutter,
) -> Iterator[Site]:
    """A book on PostgreSQL whose processes reach it through a proxy; the test itself reaches it directly."""
    with postgres_server.fresh_database() as url:
        proxy = TcpProxy(postgres_server.port, on_request=cutter)
        site = Site(tmp_path, url, redis_url, template, matrix)
        cut_url = url.replace(f":{postgres_server.port}/", f":{proxy.port}/")
        site.installation.settings["TIDEMARK_DATABASE_URL"] = cut_url
        yield site
        cutter.left = {"cut": 0, "mute": 0}
        site.close()
        proxy.close()


@pytest.mark.slow
@pytest.mark.fault(6)
def test_a_database_that_is_restarted_again_and_again_loses_nothing(
    postgres_site: Site, postgres_server: PostgresServer
) -> None:
    site = postgres_site
    chance = random.Random(6)
    site.inject({"point": "in_prediction", "delay": 0.4})
    jobs = [site.submit()]
    site.start()
    site.wait_for_scores(jobs[0], 1)
    pauses = [5, *(chance.uniform(5, 30) for _ in range(RESTARTS - 2)), 40]
    for number, seconds in enumerate(pauses):
        ends = time.monotonic() + seconds
        wait_for(lambda ends=ends: time.monotonic() > ends, seconds + 1, "the next restart to be due")
        if not get_job(site.engine, jobs[-1]).is_open:
            jobs.append(site.submit())
        began_at = time.time()
        site.engine.dispose()
        postgres_server.restart("immediate" if number % 2 else "fast")  # without a goodbye, and with one
        site.note_fault(began_at=began_at)
    for job_id in jobs:
        site.wait_until(job_id, JobState.DONE)
    site.assert_whole(jobs[-1])
    assert site.repeated_claims(jobs[-1]) <= 2 * HELD_SHARDS * RESTARTS
    for job_id in jobs[:-1]:
        site.assert_whole(job_id)


@pytest.mark.slow
@pytest.mark.fault(6)
def test_a_connection_that_dies_during_commit_leaves_all_or_nothing(cut_site: Site, cutter: CommitCutter) -> None:
    site = cut_site
    job_id = site.submit()
    site.start()
    site.wait_for_scores(job_id, 1)
    cutter.left = {"cut": CUTS, "mute": CUTS}
    wait_for(lambda: sum(cutter.left.values()) == 0, 400, "every cut to be made")
    for _ in range(2 * CUTS):
        site.note_fault()
    site.wait_until(job_id, JobState.DONE)
    site.assert_whole(job_id)
    assert site.repeated_claims(job_id) <= 2 * CUTS


@pytest.mark.slow
@pytest.mark.fault(6)
def test_a_database_that_is_locked_for_seconds_is_waited_for(laptop_site: Site) -> None:
    site = laptop_site
    site.inject({"point": "in_prediction", "delay": 0.1})
    job_id = site.submit()
    site.start(scoring_workers=4)
    path = str(site.engine.url.database)
    for share in (1, 1000):
        site.wait_for_scores(job_id, share)
        with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as other:
            began_at = time.time()
            other.execute("BEGIN IMMEDIATE")
            threading.Event().wait(LOCK_SECONDS)  # the fault itself: a lock that is held
            other.execute("ROLLBACK")
            site.note_fault(began_at=began_at)
    site.wait_until(job_id, JobState.DONE)
    site.assert_whole(job_id)


@pytest.mark.slow
@pytest.mark.fault(5)
@pytest.mark.parametrize("lost", ["redis", "database"])
def test_a_worker_that_lost_a_server_for_good_exits(
    lost: str, postgres_site: Site, postgres_server: PostgresServer, redis_server: RedisServer
) -> None:
    site = postgres_site
    site.installation.settings["TIDEMARK_LOST_AFTER_SECONDS"] = "6"
    worker = site.installation.start("worker", "--queues", "monitoring", "--concurrency", "1")
    seen = "SELECT count(*) FROM tidemark_processes WHERE kind LIKE 'worker%'"
    wait_for(lambda: site.count(seen), 400, "the worker to be there")
    site.engine.dispose()
    if lost == "redis":
        redis_server.kill()
    else:
        postgres_server.stop("immediate")
    try:
        code = worker.wait(45)
    except subprocess.TimeoutExpired:
        worker.send_signal(signal.SIGKILL)
        raise
    finally:
        if not redis_server.is_running:
            redis_server.start()
        if not postgres_server.is_running:
            postgres_server.start()
    site.matrix.note(injected=1, what=f"{lost} lost for good")
    assert code not in (0, None)
