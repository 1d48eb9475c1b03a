"""A whole installation killed in mid-job, end to end, on each database."""

import pytest

from db.connections.engine import opened_engine
from db.ledger.job_lifecycle import get_job
from db.ledger.shard_leases import count_shards
from db.schema.states import JobState
from tests.flow.installation import Installation
from tests.trained_book import BOOK, CUSTOMERS, TrainedBook
from tests.waiting import wait_for

UP = ("up", "--no-api")  # nobody asks the API here


@pytest.mark.faults
@pytest.mark.slow  # each step is killed in every run (tests/faults/test_workers_die.py), the whole by `run.py faults`
@pytest.mark.timeout(1200)  # it starts everything twice
def test_killing_every_worker_loses_and_doubles_nothing(cluster: Installation, template: TrainedBook) -> None:
    first_up = cluster.start(*UP)
    job_id = cluster.json("score", BOOK, "--detach")["job"]
    # The database is asked here, because a command for each look would take the processor from the workers.
    with opened_engine(cluster.settings["TIDEMARK_DATABASE_URL"]) as engine:
        wait_for(lambda: count_shards(engine, job_id).get("done", 0) >= 5, 120, "5 shards to be done")
        cluster.kill_everything(first_up)
        assert get_job(engine, job_id).state is JobState.RUNNING
        cluster.start(*UP)
        wait_for(lambda: not get_job(engine, job_id).is_open, 400, "the job to end")
    job = cluster.json("job", "show", str(job_id))
    assert job["state"] == "done", job
    assert (job["inputs"], job["scored"], job["rejected"]) == (CUSTOMERS, CUSTOMERS, 0)
    assert job["digest"] == template.digest, "as a night without a fault, on SQLite, gave it"
