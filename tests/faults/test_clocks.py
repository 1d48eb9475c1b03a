"""Workers whose clocks are an hour off, one ahead and one behind: the database's clock alone decides about leases."""

import signal

import pytest
from sqlalchemy import text

from db.connections.engine import reading
from db.schema.states import JobState
from tests.faults.site import HELD_SHARDS, LEASE_SECONDS, Site

HOUR = 3600
pytestmark = [pytest.mark.faults, pytest.mark.slow]


@pytest.mark.fault(8)
def test_workers_whose_clocks_are_an_hour_off_change_nothing(site: Site) -> None:
    site.inject(
        {"point": "in_prediction", "delay": 0.2}, {"point": "before_write", "signal": int(signal.SIGKILL), "times": 2}
    )
    job_id = site.submit()
    site.installation.start("scheduler")
    for shift in (HOUR, -HOUR):
        site.installation.settings["TIDEMARK_TEST_CLOCK_SHIFT"] = str(shift)
        site.start_worker(children=1)
        site.matrix.note(injected=1, what=f"a worker's clock off by {shift} s")
    site.wait_until(job_id, JobState.DONE)
    assert len(site.struck(1)) == 2
    site.assert_whole(job_id)
    assert 2 <= site.repeated_claims(job_id) <= 2 * HELD_SHARDS
    with reading(site.engine) as connection:
        workers = text("SELECT DISTINCT who FROM tidemark_events WHERE job_id = :job AND event = 'shard.done'")
        assert len(connection.execute(workers, {"job": job_id}).all()) >= 2, "both took part"
    assert LEASE_SECONDS < HOUR
