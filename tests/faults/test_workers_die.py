"""Workers and schedulers are killed and stopped, at every step of the way of a record and at random moments."""

import os
import random
import signal
import threading
import time

import psutil
import pytest

from db.events.event_log import list_events
from db.schema.states import JobState
from tests.faults.site import HELD_SHARDS, LEASE_SECONDS, SHARDS, Site
from tests.servers.processes import STOP_SECONDS
from tests.waiting import wait_for

POINTS = ("after_claim", "in_prediction", "before_write", "before_commit", "after_commit")
KILLS, KILL_SHARDS = 50, 200
pytestmark = pytest.mark.faults


def kill(point: str, times: int = 1, **more: str) -> dict[str, object]:
    return {"point": point, "signal": int(signal.SIGKILL), "times": times, **more}


@pytest.mark.fault(1)
def test_a_worker_killed_after_any_step_loses_and_doubles_nothing(laptop_site: Site) -> None:
    kill_after_every_step(laptop_site)


@pytest.mark.slow
@pytest.mark.fault(1)
def test_the_same_on_postgresql(postgres_site: Site) -> None:
    kill_after_every_step(postgres_site)


def kill_after_every_step(site: Site) -> None:
    site.inject(*(kill(point) for point in POINTS))
    job_id = site.submit()
    site.start()
    site.wait_until(job_id, JobState.DONE)
    assert [len(site.struck(number)) for number in range(len(POINTS))] == [1] * len(POINTS)
    # Only the shards of the killed are worked on again; what the one killed after its commit wrote was done already.
    site.assert_whole(job_id)
    assert len(POINTS) - 1 <= site.repeated_claims(job_id) < HELD_SHARDS * len(POINTS)


@pytest.mark.slow
@pytest.mark.fault(1)
def test_fifty_children_killed_at_random_moments_lose_and_double_nothing(site: Site) -> None:
    chance = random.Random(11)
    site.installation.settings["TIDEMARK_SHARD_ROWS"] = str(3000 // KILL_SHARDS)
    site.inject({"point": "in_prediction", "delay": 0.4})  # long enough to be met at work
    job_id = site.submit()
    site.start(scoring_workers=3)
    worker = psutil.Process(site.installation.running[-1].pid)
    site.wait_for_scores(job_id, 1)
    for _ in range(KILLS):
        moment = chance.uniform(0.1, 1.0)
        threading.Event().wait(moment)  # the random moment itself
        children = wait_for(worker.children, STOP_SECONDS, "a child to kill")
        site.kill_child(chance.choice(children))
    site.wait_until(job_id, JobState.DONE)
    site.assert_whole(job_id)
    assert site.repeated_claims(job_id) <= HELD_SHARDS * KILLS


@pytest.mark.slow
@pytest.mark.fault(2)
def test_everything_killed_and_started_again_loses_and_doubles_nothing(site: Site) -> None:
    site.inject({"point": "in_prediction", "delay": 0.2})
    job_id = site.submit()
    killed = 0
    for share in (200, 1200):
        site.start()
        site.wait_for_scores(job_id, share)
        killed += site.kill_everything()
    site.start()
    site.wait_until(job_id, JobState.DONE)
    site.assert_whole(job_id)
    assert site.repeated_claims(job_id) <= HELD_SHARDS * killed


@pytest.mark.slow
@pytest.mark.fault(3)
def test_a_worker_that_wakes_up_three_leases_after_predicting_writes_nothing(site: Site) -> None:
    site.inject({"point": "before_write", "signal": int(signal.SIGSTOP), "times": 1})
    if site.engine.dialect.name == "sqlite":
        # Its reader may be claiming at that moment: a process stopped so keeps the file's lock until it goes on.
        site.installation.settings["TIDEMARK_OVERLAP"] = "false"
    job_id = site.submit()
    site.start()
    site.wait_until(job_id, JobState.DONE)
    (stopped,) = site.struck()
    (strike,) = site.strikes()
    wait_for(lambda: time.time() > strike.at + 3 * LEASE_SECONDS, 4 * LEASE_SECONDS, "three leases to pass")
    os.kill(stopped, signal.SIGCONT)
    # It says so in its log and lives on: the next job is scored by it too.
    second = site.submit()
    site.wait_until(second, JobState.DONE)
    site.assert_whole(job_id)
    assert 1 <= site.repeated_claims(job_id) <= HELD_SHARDS
    own = [one.event for one in list_events(site.engine, job_id, limit=1000) if one.who.endswith(f":{stopped}")]
    assert own[-1] == "shard.claimed", "nothing was written after the stop"
    assert 1 <= own.count("shard.claimed") - own.count("shard.done") <= HELD_SHARDS


@pytest.mark.slow
@pytest.mark.fault(10)
def test_a_record_that_kills_its_worker_is_rejected_alone(laptop_site: Site) -> None:
    site = laptop_site
    site.inject(kill("in_prediction", 1000, key="C000777"))
    job_id = site.submit()
    site.start()
    site.wait_until(job_id, JobState.DONE)
    oracle = site.assert_whole(job_id, rejected=1)
    rejected = "SELECT count(*) FROM tidemark_rejects WHERE job_id = :job AND reason = 'poison'"
    assert oracle.count(f"{rejected} AND record_key = 'C000777'") == 1
    assert oracle.job.shards_total > SHARDS, "its shard was halved"
