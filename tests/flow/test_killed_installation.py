"""A whole installation killed in mid-job, end to end, on each database."""

from pathlib import Path

import pytest

from tests.flow.installation import Installation


@pytest.mark.faults
@pytest.mark.timeout(1200)  # it trains, and starts everything twice
def test_killing_every_worker_loses_and_doubles_nothing(cluster: Installation, book_files: tuple[Path, Path]) -> None:
    portfolio, data = map(str, book_files)
    cluster.run("portfolio", "add", portfolio)
    cluster.run("load", "simulated_book", data)
    first_up = cluster.start("up")
    cluster.json("train", "simulated_book", "--epochs", "2")
    expected = cluster.json("score", "simulated_book")

    job_id = cluster.json("score", "simulated_book", "--detach")["job"]
    cluster.wait_for_shards(job_id, done=5, seconds=60)
    cluster.kill_everything(first_up)
    assert cluster.json("job", "show", str(job_id))["state"] == "running"
    cluster.start("up")
    job = cluster.wait_for_job(job_id, "done", 400)
    assert (job["inputs"], job["scored"], job["rejected"]) == (1200, 1200, 0)
    assert job["digest"] == expected["digest"]
