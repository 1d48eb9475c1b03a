"""A record that kills whoever scores it is found by halving, rejected, and everything else is scored."""

import uuid
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import Engine, text

from db.connections.engine import reading
from db.events.event_log import list_events
from db.ledger.expired_leases import list_expired
from db.ledger.job_lifecycle import Job, get_job
from db.ledger.shard_leases import Claim, claim_shard, count_shards, renew_lease
from db.results.shard_results import complete_scored_shard
from db.schema.states import JobState
from db.sources.source_table import RECORD_KEY, read_range
from scheduler.loop.lease_recovery import sweep
from tests.building import COLUMNS, add_model, load_book, result_for, start_scoring

ATTEMPTS = 3


def play(engine: Engine, kills: Callable[[list[str]], bool], *, most: int = 500) -> int:
    """Let workers claim, and die where `kills` says so of the keys in the shard; return the number of deaths."""
    deaths = 0
    for _ in range(most):
        claimed = claim_shard(engine, "scoring", worker=f"w{deaths}", lease_seconds=60)
        if claimed is None:
            return deaths
        if kills(keys_of(engine, claimed)):
            deaths += 1
            renew_lease(engine, claimed, lease_seconds=-1)
            sweep(engine, max_attempts=ATTEMPTS)
        else:
            complete_scored_shard(engine, claimed, result_for(engine, claimed), worker="w")
    raise AssertionError("the job does not come to an end")


def keys_of(engine: Engine, claimed: Claim) -> list[str]:
    definition = claimed.job.definition
    return read_range(engine, definition.records, definition.key, COLUMNS, claimed.key_range)[RECORD_KEY].tolist()


def start(engine: Engine, keys: Sequence[Any], *, shard_rows: int, key_type: str = "integer") -> None:
    load_book(engine, keys, key_type=key_type, reject_budget=1.0)
    add_model(engine)
    start_scoring(engine, shard_rows=shard_rows)


def rejected_keys(engine: Engine) -> list[tuple[str, str]]:
    with reading(engine) as connection:
        rows = connection.execute(text("SELECT record_key, reason FROM tidemark_rejects ORDER BY record_key"))
        return [(row[0], row[1]) for row in rows]


def scored_keys(engine: Engine) -> set[str]:
    with reading(engine) as connection:
        return set(connection.execute(text("SELECT record_key FROM tidemark_scores")).scalars())


def assert_whole(engine: Engine, keys: Sequence[Any], poison: set[str]) -> Job:
    job = get_job(engine, 1)
    assert (job.state, job.inputs) == (JobState.DONE, len(keys))
    assert rejected_keys(engine) == [(key, "poison") for key in sorted(poison)]
    assert scored_keys(engine) == {str(key) for key in keys} - poison
    return job


@pytest.mark.parametrize("poison", ["0", "17", "39", "99"])
def test_the_one_record_is_rejected_and_all_others_are_scored(engine: Engine, poison: str) -> None:
    keys = range(100)
    start(engine, keys, shard_rows=40)
    deaths = play(engine, lambda found: poison in found)
    job = assert_whole(engine, keys, {poison})
    assert (job.scored, job.rejected) == (99, 1)
    # Three attempts of the whole shard, one of each half down to two records, three of the record itself.
    assert deaths <= ATTEMPTS + 6 + ATTEMPTS
    assert list_expired(engine) == []
    assert "shard.poison" in {one.event for one in list_events(engine, 1)}


def test_several_poisonous_records_are_all_found(engine: Engine) -> None:
    keys = range(64)
    start(engine, keys, shard_rows=64)
    poison = {"3", "4", "63"}
    play(engine, lambda found: bool(poison & set(found)))
    assert_whole(engine, keys, poison)


def test_text_and_uuid_keys_are_halved_too(engine: Engine) -> None:
    keys = sorted(str(uuid.UUID(int=number * 7919 << 64)) for number in range(20))
    start(engine, keys, shard_rows=20, key_type="text")
    play(engine, lambda found: keys[7] in found)
    assert_whole(engine, keys, {keys[7]})


def test_deaths_that_no_record_causes_reject_nothing(engine: Engine) -> None:
    keys = range(32)
    start(engine, keys, shard_rows=16)
    left = iter([True] * 7)
    play(engine, lambda _found: next(left, False))
    assert_whole(engine, keys, set())


def test_the_split_shard_stays_on_record(engine: Engine) -> None:
    start(engine, range(8), shard_rows=8)
    play(engine, lambda found: "5" in found)
    counted = count_shards(engine, 1)
    assert set(counted) == {"done", "split"}
    job = get_job(engine, 1)
    assert (job.shards_open, job.shards_failed) == (0, 0)
    assert job.shards_total == counted["done"]


def test_the_budget_counts_poison(engine: Engine) -> None:
    load_book(engine, range(10), reject_budget=0.05)
    add_model(engine)
    start_scoring(engine, shard_rows=10)
    play(engine, lambda found: "4" in found)
    assert get_job(engine, 1).state is JobState.FAILED
