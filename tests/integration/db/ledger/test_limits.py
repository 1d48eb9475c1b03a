"""A portfolio's limit of running shards holds, whatever happens to those that run."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine

from db.connections.engine import opened_engine
from db.ledger.dispatch_hints import list_unhinted, mark_hinted
from db.ledger.job_control import pause_job
from db.ledger.job_lifecycle import cancel_job
from db.ledger.shard_leases import claim_shard, count_shards, give_back, renew_lease
from db.results.shard_results import complete_scored_shard
from tests.building import add_model, claim, load_book, result_for, start_scoring

LIMIT = 2


@pytest.fixture
def book(engine: Engine) -> Engine:
    """A database with 30 records of a portfolio of which two shards may run at once, and a job of six shards."""
    load_book(engine, range(30), running_shards=LIMIT)
    add_model(engine)
    start_scoring(engine, shard_rows=5)
    return engine


def is_full(engine: Engine) -> bool:
    return all(claim_shard(engine, "scoring", worker="w", lease_seconds=60, hint=hint) is None for hint in (None, 6))


def test_many_claims_at_once_get_as_many_shards_as_the_limit_says(book: Engine, database_url: str) -> None:
    def try_to_claim(number: int) -> bool:
        with opened_engine(database_url) as own:  # a connection of its own, as another process has
            return claim_shard(own, "scoring", worker=f"w{number}", lease_seconds=60, hint=number % 6 + 1) is not None

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(try_to_claim, range(16))) == LIMIT
    assert count_shards(book, 1) == {"running": LIMIT, "waiting": 4}


def test_a_shard_that_ends_in_any_way_frees_its_place(book: Engine) -> None:
    for end in ("done", "given back"):
        held = [claim(book) for _ in range(LIMIT)]
        assert is_full(book)
        if end == "done":
            complete_scored_shard(book, held[0], result_for(book, held[0]), worker="w")
        else:
            give_back(book, held[0], worker="w")
        assert give_back(book, claim(book), worker="w")
        give_back(book, held[1], worker="w")


def test_a_lease_that_is_over_frees_its_place_before_any_sweep(book: Engine) -> None:
    held = [claim(book) for _ in range(LIMIT)]
    assert is_full(book)
    renew_lease(book, held[0], lease_seconds=-1)
    claim(book)
    assert is_full(book)


def test_a_dead_job_keeps_no_place_in_the_limit(book: Engine) -> None:
    """Elsewhere a run that had crashed kept its slot, and the queue stood still."""
    second = start_scoring(book, shard_rows=5)
    for _ in range(LIMIT):
        assert claim(book).job.id == 1
    cancel_job(book, 1, who="me")
    assert [claim(book).job.id for _ in range(LIMIT)] == [second.id] * LIMIT
    assert is_full(book)


def test_a_paused_job_keeps_its_places_while_its_shards_run(book: Engine) -> None:
    start_scoring(book, shard_rows=5)
    held = [claim(book) for _ in range(LIMIT)]
    pause_job(book, 1, who="me")
    assert is_full(book)
    complete_scored_shard(book, held[0], result_for(book, held[0]), worker="w")
    assert claim(book).job.id != 1


def test_only_as_many_hints_are_sent_as_there_is_room(book: Engine) -> None:
    hints = list_unhinted(book, repeat_seconds=60, limit=10)
    assert len(hints) == LIMIT
    mark_hinted(book, [hint.shard_id for hint in hints])
    assert list_unhinted(book, repeat_seconds=60, limit=10) == []
    held = [claim(book, hint=hint.shard_id) for hint in hints]
    assert list_unhinted(book, repeat_seconds=60, limit=10) == []
    complete_scored_shard(book, held[0], result_for(book, held[0]), worker="w")
    assert len(list_unhinted(book, repeat_seconds=60, limit=10)) == 1


def test_a_limit_of_one_portfolio_is_none_of_anothers(book: Engine) -> None:
    load_book(book, range(30))
    assert len([claim(book) for _ in range(6)]) == 6
