"""Workers are killed and stopped at every step of the way of a record."""

import os
import signal

import pytest

from db.events import list_events
from db.states import JobState
from tests.faults.site import Site
from tests.waiting import wait_for

POINTS = ("after_claim", "in_prediction", "before_write", "before_commit", "after_commit")
pytestmark = pytest.mark.faults


def kill(point: str, times: int = 1, **more: str) -> dict[str, object]:
    return {"point": point, "signal": int(signal.SIGKILL), "times": times, **more}


def test_a_worker_killed_after_any_step_loses_and_doubles_nothing(site: Site) -> None:
    site.inject(*(kill(point) for point in POINTS))
    site.installation.start("up")
    job_id = site.submit()
    site.wait_until(job_id, JobState.DONE, 150)
    assert [len(site.struck(number)) for number in range(len(POINTS))] == [1] * len(POINTS)
    site.assert_whole(job_id)
    # Only the shards of the killed are worked on again (the one killed after its commit is done already), and at
    # most one more for each child that took so long to start that a lease ended.
    assert 60 + len(POINTS) - 1 <= site.attempts(job_id) <= 60 + 2 * len(POINTS)


def test_a_worker_that_wakes_up_after_its_lease_writes_nothing(site: Site) -> None:
    site.inject({"point": "before_write", "signal": int(signal.SIGSTOP), "times": 1})
    site.installation.start("up")
    job_id = site.submit()
    site.wait_until(job_id, JobState.DONE, 120)
    (stopped,) = site.struck()
    os.kill(stopped, signal.SIGCONT)
    log = site.installation.folder / "home" / "logs" / "scoring-worker.log"
    wait_for(lambda: "The lease was lost, nothing was written" in log.read_text(), 30, "the late worker to notice")
    site.assert_whole(job_id)
    assert "shard.taken_back" in {event.event for event in list_events(site.engine, job_id)}


@pytest.mark.slow
def test_a_record_that_kills_its_worker_is_rejected_alone(laptop_site: Site) -> None:
    site = laptop_site
    site.inject(kill("in_prediction", 1000, key="C000777"))
    site.installation.start("up")
    job_id = site.submit()
    site.wait_until(job_id, JobState.DONE, 280)
    site.assert_whole(job_id, rejected=1)
