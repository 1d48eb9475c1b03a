"""A job of very many shards is closed, verified and forgotten as a small one is."""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, text

from db.connections.engine import open_engine, reading, writing
from db.ledger.digests import sum_digests
from db.ledger.job_closing import close_finished_jobs
from db.ledger.job_lifecycle import get_job
from db.ledger.shard_histograms import BLOCK_SHARDS, list_unfolded, read_job_counts
from db.ledger.shard_leases import claim_shard
from db.portfolios.catalog import get_portfolio, save_portfolio
from db.portfolios.definition import PortfolioDefinition
from db.results.retention import apply_retention
from db.results.shard_results import complete_scored_shard
from db.schema.states import JobState
from tests.building import BOOK, result_for
from tests.large_jobs import DATA_DIGEST, MANY, RECORDS, complete_last, counts_of, job_with_one_open_shard, reopen


@pytest.fixture
def engine(any_database_url: str) -> Iterator[Engine]:
    opened = open_engine(any_database_url)
    yield opened
    opened.dispose()


def test_100000_shards_close_and_are_verified_within_seconds_and_100_megabytes(engine: Engine) -> None:
    job = job_with_one_open_shard(engine)
    url = engine.url.render_as_string(hide_password=False)
    command = [sys.executable, "-m", "tests.large_jobs", url]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert found["has_closed"]
    assert found["problems"] == []
    assert found["closing_seconds"] < 5
    assert found["closing_megabytes"] < 100
    assert found["verifying_seconds"] < 5
    assert found["verifying_megabytes"] < 100
    _assert_counted(engine, job.id, MANY)


def test_a_job_that_an_older_release_left_is_added_up_by_sweeps_of_bounded_length(engine: Engine) -> None:
    shards = 20 * BLOCK_SHARDS
    job = job_with_one_open_shard(engine, shards, folded=False)
    assert not complete_last(engine)
    assert close_finished_jobs(engine, most_blocks=10) == []
    with reading(engine) as connection:
        assert len(list_unfolded(connection, job.id)) == 10
    assert close_finished_jobs(engine, most_blocks=10) == [job.id]
    _assert_counted(engine, job.id, shards)


def test_shards_that_workers_finish_at_once_are_added_up_once_and_on_the_way(engine: Engine) -> None:
    shards = 3 * BLOCK_SHARDS + 90
    job = job_with_one_open_shard(engine, shards, folded=False)
    empty = reopen(engine, every=40) - 1

    def work(worker: str) -> None:
        while claimed := claim_shard(engine, "scoring", worker=worker, lease_seconds=60):
            complete_scored_shard(engine, claimed, result_for(engine, claimed), worker=worker)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, ("w1", "w2", "w3")))
    with reading(engine) as connection:
        unfolded = list_unfolded(connection, job.id)
        counts = read_job_counts(connection, [job.id])[job.id]
    assert 3 in unfolded, "it is not full"
    assert len(unfolded) <= 2, "and that of the shard that closed the job"
    assert get_job(engine, job.id).state is JobState.DONE
    assert counts["points"] == counts_of(shards - 1 - empty)["points"] | {"500": shards - 1 - empty + RECORDS}


def test_rejects_of_many_shards_are_removed_by_rows_not_by_shards(engine: Engine) -> None:
    job_with_one_open_shard(engine, 2_000)
    assert complete_last(engine)
    definition: PortfolioDefinition = get_portfolio(engine, BOOK).definition
    kept = replace(definition, privacy=replace(definition.privacy, rejects_days=1))
    save_portfolio(engine, kept, who="test")
    with writing(engine) as connection:
        connection.execute(text("UPDATE tidemark_jobs SET finished_at = '2020-01-01' WHERE state = 'done'"))
    assert apply_retention(engine) == 1_999


def _assert_counted(engine: Engine, job_id: int, shards: int) -> None:
    job, expected = get_job(engine, job_id), counts_of(shards - 1)
    expected["points"]["500"] += RECORDS
    with reading(engine) as connection:
        counts = read_job_counts(connection, [job_id])[job_id]
    assert {name: counts[name] for name in expected} == expected
    assert (job.state, job.scored, job.rejected) == (JobState.DONE, RECORDS, shards - 1)
    assert job.data_fingerprint == sum_digests(["2", *[DATA_DIGEST] * (shards - 1)])
