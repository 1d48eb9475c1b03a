"""Redis loses, doubles and reorders messages, falls silent, resets connections, loses everything: it carries hints."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from db.ledger.job_lifecycle import get_job
from db.schema.states import JobState
from scheduler.loop.hint_dispatch import open_producer
from tests.faults.matrix import Matrix
from tests.faults.site import LEASE_SECONDS, SHARDS, Site
from tests.servers import RedisServer, TcpProxy
from tests.trained_book import TrainedBook
from tests.waiting import wait_for
from worker.contract.messages import SCORING_QUEUE, TASK_OF_QUEUE, shard_hint

RESETS = 20
SILENT_SECONDS = 120
pytestmark = pytest.mark.faults
SLOWER = {"point": "in_prediction", "delay": 0.2}  # so that the job is at work when it is harmed


@pytest.fixture
def proxy() -> Iterator[tuple[RedisServer, TcpProxy]]:
    """A Redis on a port, behind a proxy."""
    server = RedisServer(uses_tcp=True)
    server.start()
    proxy = TcpProxy(server.port)
    yield server, proxy
    proxy.close()
    server.kill()


@pytest.fixture
def proxied_site(
    proxy: tuple[RedisServer, TcpProxy], template: TrainedBook, matrix: Matrix, tmp_path: Path
) -> Iterator[Site]:
    """A book whose Redis is reached through the proxy alone."""
    site = Site(
        tmp_path, f"sqlite:///{tmp_path / 'tidemark.db'}", f"redis://127.0.0.1:{proxy[1].port}/0", template, matrix
    )
    yield site
    proxy[1].speak()
    site.close()


@pytest.mark.slow
@pytest.mark.fault(7)
def test_messages_ten_times_in_any_order_and_for_nothing_change_nothing(laptop_site: Site) -> None:
    site = laptop_site
    finished = site.submit()
    site.start(scoring_workers=4)
    site.wait_until(finished, JobState.DONE)
    site.installation.close()
    job_id = site.submit()
    producer = open_producer(site.installation.settings["TIDEMARK_REDIS_URL"])
    waiting, unknown = range(SHARDS + 1, 2 * SHARDS + 1), range(5000, 5030)
    hints = [*range(1, SHARDS + 1), *waiting, *unknown] * 10
    random.Random(4).shuffle(hints)
    for shard_id in hints:
        producer.send_task(TASK_OF_QUEUE[SCORING_QUEUE], kwargs=shard_hint(shard_id), queue=SCORING_QUEUE)
    site.start(scoring_workers=4)
    site.wait_until(job_id, JobState.DONE)
    site.assert_whole(job_id)
    site.matrix.note(injected=len(hints), what="messages")
    assert site.repeated_claims(job_id) == 0
    site.assert_whole(finished)
    assert site.repeated_claims(finished) == 0


@pytest.mark.slow
@pytest.mark.fault(4)
def test_redis_emptied_and_killed_at_half_loses_nothing(site: Site, redis_server: RedisServer) -> None:
    site.inject(SLOWER)
    job_id = site.submit()
    site.start()
    site.wait_for_scores(job_id, 1000)
    with redis_server.client() as client:
        client.flushall()
    site.note_fault()
    site.wait_for_scores(job_id, 1500)
    began_at = time.time()
    redis_server.kill()
    redis_server.start()
    site.note_fault(began_at=began_at)
    site.wait_until(job_id, JobState.DONE)
    site.assert_whole(job_id)
    assert site.repeated_claims(job_id) == 0


@pytest.mark.fault(4)
def test_submitting_while_redis_is_down_succeeds_and_the_job_runs_when_it_is_back(
    laptop_site: Site, redis_server: RedisServer
) -> None:
    site = laptop_site
    began_at = time.time()
    redis_server.kill()
    job_id = site.installation.json("score", "simulated_book", "--detach")["job"]
    site.start()
    wait_for(lambda: get_job(site.engine, job_id).state is JobState.RUNNING, 400, "the job to be planned")
    redis_server.start()
    site.note_fault(began_at=began_at)
    site.wait_until(job_id, JobState.DONE)
    site.assert_whole(job_id)


@pytest.mark.slow
@pytest.mark.fault(5)
def test_a_worker_that_is_connected_and_hears_nothing_connects_anew(laptop_site: Site) -> None:
    site = laptop_site
    site.inject({"point": "listening", "deaf": True, "times": 1})
    job_id = site.submit()
    site.start()
    began_at = time.time()
    site.wait_until(job_id, JobState.DONE)
    site.note_fault(began_at=began_at)
    site.assert_whole(job_id)
    assert site.repeated_claims(job_id) == 0
    assert len(site.struck()) == 1


@pytest.mark.slow
@pytest.mark.fault(5)
def test_connections_to_redis_that_are_reset_again_and_again_lose_nothing(
    proxied_site: Site, proxy: tuple[RedisServer, TcpProxy]
) -> None:
    site = proxied_site
    site.inject({"point": "in_prediction", "delay": 1.0})
    job_id = site.submit()
    site.start()
    site.wait_for_scores(job_id, 1)
    for _ in range(RESETS):
        wait_for(proxy[1].reset_all, 30, "a connection to reset")
        site.note_fault()
    site.wait_until(job_id, JobState.DONE)
    site.assert_whole(job_id)
    assert site.repeated_claims(job_id) == 0


@pytest.mark.slow
@pytest.mark.fault(5)
def test_a_redis_that_is_silent_for_two_minutes_holds_up_and_loses_nothing(
    proxied_site: Site, proxy: tuple[RedisServer, TcpProxy]
) -> None:
    site = proxied_site
    site.inject(SLOWER)
    job_id = site.submit()
    # A worker that hears nothing for a minute exits; `up` starts it again.
    site.installation.start("up")
    site.wait_for_scores(job_id, 500)
    began_at = time.time()
    proxy[1].silence()
    second = site.submit()
    wait_for(lambda: time.time() > began_at + SILENT_SECONDS, SILENT_SECONDS + 30, "two minutes of silence")
    proxy[1].speak()
    site.note_fault(began_at=began_at)
    for one in (job_id, second):
        site.wait_until(one, JobState.DONE)
        site.assert_whole(one)
    log = (site.installation.folder / "home" / "logs" / "scoring-worker.log").read_text()
    assert "This worker lost Redis" in log
    assert LEASE_SECONDS < SILENT_SECONDS
