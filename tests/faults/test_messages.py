"""Redis loses, doubles and reorders messages, or everything: it only carries hints."""

import random

import pytest

from db.states import JobState
from scheduler.dispatch import open_producer
from tests.faults.site import CUSTOMERS, Site
from tests.servers import RedisServer
from worker.messages import SCORING_QUEUE, TASK_OF_QUEUE, shard_hint

pytestmark = pytest.mark.faults


def test_messages_ten_times_in_any_order_and_for_nothing_change_nothing(laptop_site: Site) -> None:
    site = laptop_site
    job_id = site.submit()
    producer = open_producer(site.installation.settings["TIDEMARK_REDIS_URL"])
    hints = [*range(1, 61), *range(5000, 5030)] * 10
    random.Random(4).shuffle(hints)
    for shard_id in hints:
        producer.send_task(TASK_OF_QUEUE[SCORING_QUEUE], kwargs=shard_hint(shard_id), queue=SCORING_QUEUE)
    site.installation.settings["TIDEMARK_SCORING_WORKERS"] = "4"
    site.installation.start("up")
    site.wait_until(job_id, JobState.DONE, 120)
    site.assert_whole(job_id)
    assert site.attempts(job_id) == 60
    assert site.submit() != job_id


def test_redis_emptied_and_killed_at_half_loses_nothing(laptop_site: Site, redis_server: RedisServer) -> None:
    site = laptop_site
    site.installation.start("up")
    job_id = site.submit()
    site.wait_for_scores(job_id, 1)
    site.note_fault()
    with redis_server.client() as client:
        client.flushall()
    redis_server.kill()
    second = site.submit()
    redis_server.start()
    site.wait_until(job_id, JobState.DONE, 120)
    site.wait_until(second, JobState.DONE, 120)
    site.assert_whole(job_id)
    site.assert_whole(second)
    assert CUSTOMERS == 3000
