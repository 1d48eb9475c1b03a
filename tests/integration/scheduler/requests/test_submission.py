"""What is asked for is stored once, with the model that was the champion at that moment."""

import pytest
from sqlalchemy import Engine

from db.connections.engine import writing
from db.errors import IdempotencyConflictError, NotFoundError
from db.ledger.job_lifecycle import get_job, list_jobs
from db.portfolios.catalog import save_portfolio
from db.registry.champions import Decision, decide, get_champion
from db.schema.states import PRIORITIES
from scheduler.errors import UsageError
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
