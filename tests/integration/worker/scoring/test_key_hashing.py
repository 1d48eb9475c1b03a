"""Where a portfolio says so, results hold keyed hashes, and the digest is of what is stored."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine, text

from db.connections.engine import reading
from db.errors import KeySecretMissingError
from db.portfolios.privacy_policy import PrivacyPolicy
from db.privacy.key_hashing import hash_key
from db.results.retention import apply_retention
from db.results.shard_results import complete_scored_shard
from db.results.verification import verify_job
from tests.building import add_model, claim, load_book, result_for, start_scoring
from worker.scoring.key_hashing import hide_keys

SECRET = "a secret of this installation"


def test_results_hold_hashes_and_no_key_is_left_once_the_job_is_done(engine: Engine) -> None:
    load_book(engine, ["anna", "bert"], key_type="text", reject_budget=1.0, privacy=PrivacyPolicy(hashed_keys=True))
    add_model(engine)
    job = start_scoring(engine)
    claimed = claim(engine)
    hidden = hide_keys(result_for(engine, claimed, rejected=1), claimed, SECRET)
    complete_scored_shard(engine, claimed, hidden, worker="w1")
    apply_retention(engine)  # forgets where the shards of a finished job began and ended
    with reading(engine) as connection:
        tables = ("scores", "rejects", "shards", "events", "jobs")
        stored = str([connection.execute(text(f"SELECT * FROM tidemark_{name}")).all() for name in tables])
    assert "anna" not in stored
    assert "bert" not in stored
    assert hash_key(SECRET, "book", "bert") in stored
    assert verify_job(engine, job.id).problems == ()


def test_without_the_secret_nothing_is_written(engine: Engine) -> None:
    load_book(engine, ["anna"], key_type="text", privacy=PrivacyPolicy(hashed_keys=True))
    add_model(engine)
    start_scoring(engine)
    claimed = claim(engine)
    with pytest.raises(KeySecretMissingError, match="TIDEMARK_KEY_SECRET"):
        hide_keys(result_for(engine, claimed), claimed, None)


def test_without_the_policy_a_result_is_as_it_was(engine: Engine) -> None:
    load_book(engine, [1])
    add_model(engine)
    start_scoring(engine)
    claimed = claim(engine)
    result = replace(result_for(engine, claimed), digest="0")
    assert hide_keys(result, claimed, SECRET) is result
