"""A whole installation killed in mid-job, end to end, on each database."""

import pytest

from tests.flow.installation import Installation
from tests.trained_book import BOOK, CUSTOMERS, TrainedBook


@pytest.mark.faults
@pytest.mark.timeout(1200)  # it starts everything twice
def test_killing_every_worker_loses_and_doubles_nothing(cluster: Installation, template: TrainedBook) -> None:
    first_up = cluster.start("up")
    job_id = cluster.json("score", BOOK, "--detach")["job"]
    cluster.wait_for_shards(job_id, done=5, seconds=120)
    cluster.kill_everything(first_up)
    assert cluster.json("job", "show", str(job_id))["state"] == "running"
    cluster.start("up")
    job = cluster.wait_for_job(job_id, "done", 400)
    assert (job["inputs"], job["scored"], job["rejected"]) == (CUSTOMERS, CUSTOMERS, 0)
    assert job["digest"] == template.digest, "as a night without a fault, on SQLite, gave it"
