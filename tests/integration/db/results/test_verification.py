"""A finished job can be proven from what is stored, and every tampering is seen."""

import pytest
from sqlalchemy import Engine, text

from db.connections.engine import writing
from db.errors import StateConflictError
from db.ledger.digests import score_digest
from db.ledger.shard_leases import claim_shard
from db.results.shard_results import ShardResult, complete_scored_shard
from db.results.verification import verify_job
from tests.building import MODEL, add_model, load_book, result_for, start_scoring


@pytest.fixture
def finished(engine: Engine) -> Engine:
    """A job of 30 records in three shards, two of them rejected."""
    load_book(engine, range(30), reject_budget=1.0)
    add_model(engine)
    start_scoring(engine, shard_rows=10)
    rejected = 2
    while (claimed := claim_shard(engine, "scoring", worker="w", lease_seconds=60)) is not None:
        found = result_for(engine, claimed, rejected=rejected)
        digest = score_digest(list(found.record_keys), list(found.probabilities), MODEL)
        complete_scored_shard(engine, claimed, _with_digest(found, digest), worker="w")
        rejected = 0
    return engine


def _with_digest(found: ShardResult, digest: str) -> ShardResult:
    return ShardResult(**{**vars(found), "digest": digest})


def test_an_untouched_job_is_as_it_says(finished: Engine) -> None:
    found = verify_job(finished, 1)
    assert found.problems == ()
    assert (found.scored, found.rejected, found.stale_rows) == (28, 2, 0)
    assert found.digest == found.job.digest


@pytest.mark.parametrize(
    ("tampering", "problem"),
    [
        ("UPDATE tidemark_scores SET probability = 0.9 WHERE record_key = '7'", "the digest of the stored scores"),
        ("UPDATE tidemark_scores SET record_key = 'x' WHERE record_key = '7'", "the digest of the stored scores"),
        ("DELETE FROM tidemark_scores WHERE record_key = '7'", "stored scores: 27, but the job says 28"),
        ("DELETE FROM tidemark_rejects WHERE record_key = '0'", "stored rejects: 1, but the job says 2"),
        (
            "UPDATE tidemark_scores SET token = 99 WHERE record_key = '7'",
            "not written by the final attempt of their shard: 1",
        ),
    ],
)
def test_tampering_is_seen(finished: Engine, tampering: str, problem: str) -> None:
    with writing(finished) as connection:
        connection.execute(text(tampering))
    assert any(problem in one for one in verify_job(finished, 1).problems)


def test_a_job_that_is_not_done_is_refused(engine: Engine) -> None:
    load_book(engine, range(3))
    add_model(engine)
    start_scoring(engine)
    with pytest.raises(StateConflictError, match="job 1 is a scoring job, running"):
        verify_job(engine, 1)
