"""What is asked for is stored once, with the model that was the champion at that moment."""

import pytest
from sqlalchemy import Engine, text

from db.connections.engine import writing
from db.errors import IdempotencyConflictError, NotFoundError, SourceError
from db.ledger.job_lifecycle import get_job, list_jobs
from db.portfolios.catalog import save_portfolio
from db.portfolios.definition import EventsDefinition
from db.registry.champions import Decision, decide, get_champion
from db.registry.versions import register_model
from db.schema.states import PRIORITIES, FailureCause
from db.sources.event_loading import EventLoad, load_events
from scheduler.errors import UsageError
from scheduler.loop.shard_planning import plan_job
from scheduler.requests.job_submission import Request, check_scoring, submit_scoring, submit_training
from tests.building import BOOK, MODEL, add_model, book_definition, load_book


@pytest.fixture
def book(engine: Engine) -> Engine:
    """A book of 25 records with a champion."""
    load_book(engine, range(25))
    add_model(engine)
    return engine


def test_one_key_for_two_requests_is_a_conflict(book: Engine) -> None:
    first = submit_scoring(book, BOOK, Request("me", idempotency_key="night-7"))
    with pytest.raises(IdempotencyConflictError, match=f"{first}"):
        submit_scoring(book, BOOK, Request("me", idempotency_key="night-7", priority="nightly"))


def test_a_promotion_in_mid_job_changes_nothing_of_the_job(book: Engine) -> None:
    job_id = submit_scoring(book, BOOK, Request("me"))
    seen = get_champion(book, BOOK)
    add_model(book, "m2", champion=False)
    with writing(book) as connection:
        promoted = Decision(BOOK, "m2", MODEL, promoted=True, reason="test", figures={}, decided_by="me", job_id=None)
        assert decide(connection, promoted, champion_before=seen)
    assert get_job(book, job_id).model_version == MODEL
    assert get_job(book, submit_scoring(book, BOOK, Request("me"))).model_version == "m2"


def test_priorities_have_names(book: Engine) -> None:
    ranks = [get_job(book, submit_scoring(book, BOOK, Request("me", priority=name))).priority for name in PRIORITIES]
    assert ranks == sorted(ranks)
    with pytest.raises(UsageError, match="interactive, normal, nightly; got 'soon'"):
        submit_scoring(book, BOOK, Request("me", priority="soon"))


def test_a_dry_run_stores_nothing(book: Engine) -> None:
    found = check_scoring(book, BOOK, model=None, shard_rows=10)
    assert (found["inputs"], found["shards"], found["model_version"]) == (25, 3, MODEL)
    assert list_jobs(book) == []


def test_what_cannot_be_carried_out_is_not_stored(engine: Engine) -> None:
    load_book(engine, range(5))
    save_portfolio(engine, book_definition(target=None), who="me")
    for ask in (submit_scoring, submit_training):
        with pytest.raises(UsageError):
            ask(engine, BOOK, Request("me"))
        with pytest.raises(NotFoundError, match="There are: book"):
            ask(engine, "bok", Request("me"))
    assert list_jobs(engine) == []


def test_a_missing_event_table_is_told_before_anything_is_stored(engine: Engine) -> None:
    events = EventsDefinition("bookings", "bookings", "id", "at")
    load_book(engine, range(5), events=(events,))
    with pytest.raises(SourceError, match="tidemark load NAME EVENTS --events bookings"):
        submit_training(engine, BOOK, Request("me"))
    assert list_jobs(engine) == []
    definition = book_definition(events=(events,))
    load_events(engine, EventLoad(definition, events, "integer"), [])
    assert submit_training(engine, BOOK, Request("me")) == 1


def test_events_whose_key_is_of_another_type_than_the_records_are_refused(engine: Engine) -> None:
    load_book(engine, range(5), events=(EventsDefinition("bookings", "bookings", "id", "at"),))
    with writing(engine) as connection:
        connection.execute(text("CREATE TABLE bookings (id TEXT, at TIMESTAMP)"))
    with pytest.raises(
        SourceError, match="holds whole numbers, the key id of the events bookings in bookings holds text"
    ):
        submit_training(engine, BOOK, Request("me"))


def test_a_scoring_job_whose_event_table_is_gone_fails_with_the_cause(engine: Engine) -> None:
    events = EventsDefinition("bookings", "bookings", "id", "at")
    definition = book_definition(events=(events,))
    load_book(engine, range(5), events=(events,))
    load_events(engine, EventLoad(definition, events, "integer"), [])
    with writing(engine) as connection:
        register_model(connection, version=MODEL, job_id=None, definition=definition, metrics={}, reference={})
    job_id = submit_scoring(engine, BOOK, Request("me"), model=MODEL)
    with writing(engine) as connection:
        connection.execute(text("DROP TABLE bookings"))
    with pytest.raises(SourceError, match="--events bookings"):
        submit_scoring(engine, BOOK, Request("me"), model=MODEL)
    assert not plan_job(engine, job_id)
    failed = get_job(engine, job_id)
    assert failed.cause is FailureCause.SOURCE_UNREADABLE
    assert "--events bookings" in str(failed.detail)
