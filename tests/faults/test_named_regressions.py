"""Faults that hit other systems of this kind, each by its name."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import Engine, text, update

from db.connections.engine import opened_engine, writing
from db.errors import LeaseLostError
from db.ledger.job_lifecycle import cancel_job, find_follow_up, get_job
from db.ledger.shard_leases import Claim, claim_shard, count_shards, renew_lease
from db.results.shard_results import complete_scored_shard
from db.schema.core_tables import shards
from db.schema.states import JobState
from scheduler.loop.lease_recovery import sweep
from tests.building import add_model, claim, load_book, result_for, start_scoring
from tests.faults.facts import assert_consistent

PAGE = 3
pytestmark = pytest.mark.faults


@pytest.fixture
def book(any_database_url: str) -> Iterator[Engine]:
    """A database with 30 records, a model, and a running job of ten shards."""
    with opened_engine(any_database_url) as engine:
        load_book(engine, range(30))
        add_model(engine)
        start_scoring(engine, shard_rows=3)
        yield engine


def test_a_lease_whose_heartbeat_was_never_written_is_taken_back(book: Engine) -> None:
    """NULL is never smaller than now: elsewhere such a row was never reaped."""
    held = claim(book)
    with writing(book) as connection:
        never = update(shards).where(shards.c.id == held.shard_id).values(lease_until=None, heartbeat_at=None)
        connection.execute(never)
    assert sweep(book, max_attempts=3) == 1
    assert claim(book, hint=held.shard_id).token == held.token + 1


def test_recovery_is_not_starved_by_a_page_of_rows_it_cannot_save(book: Engine) -> None:
    """Elsewhere a full page of rows that could not be rescued hid those that could."""
    held = [claim(book) for _ in range(10)]
    for one in held:
        renew_lease(book, one, lease_seconds=-1)
    refuse_updates(book, [one.shard_id for one in held[: 2 * PAGE]])
    assert sweep(book, max_attempts=3, page=PAGE) == 10 - 2 * PAGE
    assert count_shards(book, 1) == {"running": 2 * PAGE, "waiting": 10 - 2 * PAGE}


def test_a_heartbeat_after_completion_changes_nothing(book: Engine) -> None:
    """Elsewhere it turned Completed into Crashed."""
    held = [claim(book) for _ in range(10)]
    for one in held:
        complete_scored_shard(book, one, result_for(book, one), worker="w")
    before = get_job(book, 1)
    assert before.state is JobState.DONE
    for one in held:
        with pytest.raises(LeaseLostError):
            renew_lease(book, one, lease_seconds=60, progress={"stage": "late"})
    assert sweep(book, max_attempts=3) == 0
    assert get_job(book, 1) == before


def test_a_dead_job_does_not_keep_its_place_in_a_limit(book: Engine) -> None:
    """Elsewhere a run that had crashed kept its slot, and the queue stood still."""
    load_book(book, range(30), running_shards=2)
    second = start_scoring(book, shard_rows=15)
    dead = [claim(book) for _ in range(2)]
    assert {one.job.id for one in dead} == {1}
    assert claim_shard(book, "scoring", worker="w", lease_seconds=60) is None
    cancel_job(book, 1, who="me")
    assert [claim(book).job.id for _ in range(2)] == [second.id] * 2


def test_the_last_two_shards_that_finish_in_the_same_instant_close_the_job_once(
    book: Engine, any_database_url: str
) -> None:
    """Under READ COMMITTED each may see the other unfinished, and neither closes the job."""
    cancel_job(book, 1, who="me")
    for _ in range(10):
        job = start_scoring(book, shard_rows=15)
        held = [claim(book) for _ in range(2)]
        start = Barrier(2)

        def finish(one: Claim, start: Barrier = start) -> bool:
            with opened_engine(any_database_url) as own:
                result = result_for(own, one)
                start.wait()
                return complete_scored_shard(own, one, result, worker="w")

        with ThreadPoolExecutor(2) as pool:
            assert sorted(pool.map(finish, held)) == [False, True]
        assert get_job(book, job.id).state is JobState.DONE
        assert find_follow_up(book, job.id) is not None
        assert_consistent(book, job.id)


def refuse_updates(engine: Engine, shard_ids: list[int]) -> None:
    """Make the database refuse every change of these rows, as a constraint of a newer release might."""
    listed = ", ".join(map(str, shard_ids))
    with writing(engine) as connection:
        if engine.dialect.name == "sqlite":
            trigger = f"""CREATE TRIGGER refuse BEFORE UPDATE ON tidemark_shards WHEN old.id IN ({listed})
                BEGIN SELECT RAISE(ABORT, 'refused'); END"""
            connection.execute(text(trigger))
            return
        connection.execute(
            text("""CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'refused'; END $$""")
        )
        connection.execute(
            text(f"""CREATE TRIGGER refuse BEFORE UPDATE ON tidemark_shards FOR EACH ROW
            WHEN (old.id IN ({listed})) EXECUTE FUNCTION refuse()""")
        )
