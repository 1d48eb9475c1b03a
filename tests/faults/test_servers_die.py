"""Redis and the database are restarted, locked and lost while a job runs."""

import signal
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from db.jobs import get_job
from db.states import JobState
from tests.faults.site import Site, Template
from tests.servers import PostgresServer, RedisServer
from tests.waiting import wait_for

pytestmark = pytest.mark.faults


@pytest.fixture
def postgres_site(
    postgres_server: PostgresServer, redis_url: str, template: Template, tmp_path: Path
) -> Iterator[Site]:
    """A book on a PostgreSQL that a test may restart."""
    with postgres_server.fresh_database() as url:
        site = Site(tmp_path, url, redis_url, template)
        yield site
        site.close()


def test_a_database_that_is_restarted_again_and_again_loses_nothing(
    postgres_site: Site, postgres_server: PostgresServer
) -> None:
    site = postgres_site
    job_id = site.submit()
    site.installation.start("up")
    for share in (1, 500, 1500):
        site.wait_for_scores(job_id, share)
        site.note_fault()
        postgres_server.stop("immediate")  # no goodbye: connections break wherever they are
        postgres_server.start()
        site.engine.dispose()
    site.wait_until(job_id, JobState.DONE, 150)
    site.assert_whole(job_id)


def test_a_database_that_is_locked_for_seconds_is_waited_for(laptop_site: Site) -> None:
    site = laptop_site
    job_id = site.submit()
    site.installation.start("up")
    path = str(site.engine.url.database)
    for share in (1, 1000):
        site.wait_for_scores(job_id, share)
        with sqlite3.connect(path, timeout=30, isolation_level=None) as other:
            site.note_fault()
            other.execute("BEGIN IMMEDIATE")
            threading.Event().wait(5)  # the fault itself: a lock that is held for five seconds
            other.execute("ROLLBACK")
    site.wait_until(job_id, JobState.DONE, 120)
    site.assert_whole(job_id)


@pytest.mark.parametrize("lost", ["redis", "database"])
def test_a_worker_that_lost_a_server_for_good_exits(
    lost: str, postgres_site: Site, postgres_server: PostgresServer, redis_server: RedisServer
) -> None:
    site = postgres_site
    site.installation.settings["TIDEMARK_LOST_AFTER_SECONDS"] = "6"
    worker = site.installation.start("worker", "--queues", "monitoring", "--concurrency", "1")
    seen = "SELECT count(*) FROM tidemark_processes WHERE kind LIKE 'worker%' AND :job = :job"
    wait_for(lambda: site.count(seen, 1), 60, "the worker to be there")
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
    assert code not in (0, None)


def test_submitting_while_redis_is_down_succeeds_and_the_job_runs_when_it_is_back(
    laptop_site: Site, redis_server: RedisServer
) -> None:
    site = laptop_site
    site.note_fault()
    redis_server.kill()
    job_id = site.installation.json("score", "simulated_book", "--detach")["job"]
    site.installation.start("up")
    wait_for(lambda: get_job(site.engine, job_id).state is JobState.RUNNING, 60, "the job to be planned")
    redis_server.start()
    site.wait_until(job_id, JobState.DONE, 120)
    site.assert_whole(job_id)
