"""A person is erased everywhere and what is left still proves its jobs; old results go when their time is over."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from db.connections.engine import opened_engine, reading, writing
from db.erasure.erasure import Person, erase_record
from db.events.event_log import list_events
from db.ledger.digests import score_digest
from db.migrations.upgrade import prepare_database
from db.portfolios.catalog import save_portfolio
from db.portfolios.privacy_policy import PrivacyPolicy
from db.results.retention import apply_retention
from db.results.shard_results import complete_scored_shard
from db.results.verification import verify_job
from tests.building import MODEL, add_model, book_definition, claim, load_book, result_for, start_scoring

MARKER = "marker-7f3a9c"


def score_book(engine: Engine, keys: list[str], *, rejected: int = 0) -> int:
    load_book(engine, keys, key_type="text", reject_budget=1.0)
    add_model(engine)
    job = start_scoring(engine, shard_rows=10_000)
    claimed = claim(engine)
    result = result_for(engine, claimed, rejected=rejected)
    digest = score_digest(result.record_keys, result.probabilities, MODEL)
    complete_scored_shard(engine, claimed, replace(result, digest=digest), worker="w1")
    return job.id


@pytest.mark.parametrize("rejected", [0, 1])
def test_a_person_is_erased_everywhere_and_the_job_is_still_proven(engine: Engine, rejected: int) -> None:
    job_id = score_book(engine, [MARKER, "other-1", "other-2"], rejected=rejected)
    assert verify_job(engine, job_id).problems == ()
    erasure = erase_record(engine, Person("book", MARKER), who="test")
    assert erasure.is_proven
    assert erasure.erased["book"] == 1
    assert erasure.erased["tidemark_scores"] + erasure.erased["tidemark_rejects"] == 1
    assert set(erasure.left.values()) == {0}
    with reading(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM book")).scalar() == 2
        events = str(connection.execute(text("SELECT * FROM tidemark_events")).all())
    assert MARKER not in events
    assert verify_job(engine, job_id).problems == ()


def test_erasing_again_finds_nothing_and_another_portfolio_is_not_touched(engine: Engine) -> None:
    score_book(engine, [MARKER, "other-1"])
    load_book(engine, [MARKER], key_type="text", name="second", source="second")
    erase_record(engine, Person("book", MARKER), who="test")
    again = erase_record(engine, Person("book", MARKER), who="test")
    assert not any(again.erased.values())
    with reading(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM second")).scalar() == 1


def test_a_source_that_is_not_ours_is_told_and_not_changed(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(text("CREATE TABLE theirs (id text, amount double precision)"))
        connection.execute(text(f"INSERT INTO theirs VALUES ('{MARKER}', 1)"))
    save_portfolio(engine, book_definition(source="theirs"), who="test")
    erasure = erase_record(engine, Person("book", MARKER), who="test")
    assert (erasure.is_proven, erasure.foreign, erasure.left["theirs"]) == (False, ("theirs",), 1)


def test_on_sqlite_no_byte_of_an_erased_key_is_left_in_the_files(tmp_path: Path) -> None:
    with opened_engine(f"sqlite:///{tmp_path / 'tidemark.db'}") as engine:
        prepare_database(engine)
        score_book(engine, [MARKER, *(f"other-{row}" for row in range(500))])
        erase_record(engine, Person("book", MARKER), who="test")
    assert [path for path in tmp_path.iterdir() if MARKER.encode() in path.read_bytes()] == []


def test_results_go_when_their_time_is_over_and_the_job_stays(engine: Engine) -> None:
    job_id = score_book(engine, ["a", "b", "c"], rejected=1)
    policy = PrivacyPolicy(scores_days=30, rejects_days=10)
    save_portfolio(engine, book_definition(privacy=policy), who="test")
    assert apply_retention(engine) == 0
    _age(engine, job_id, days=20)
    assert apply_retention(engine) == 1
    _age(engine, job_id, days=31)
    assert apply_retention(engine) == 2
    assert apply_retention(engine) == 0
    assert [one.event for one in list_events(engine, job_id)].count("job.results_removed") == 2
    with pytest.raises(Exception, match="retention period"):
        verify_job(engine, job_id)


def _age(engine: Engine, job_id: int, *, days: int) -> None:
    is_sqlite = engine.dialect.name == "sqlite"
    moved = f"datetime(created_at, '-{days} days')" if is_sqlite else f"created_at - interval '{days} days'"
    with writing(engine) as connection:
        connection.execute(text(f"UPDATE tidemark_jobs SET finished_at = {moved} WHERE id = {job_id}"))
