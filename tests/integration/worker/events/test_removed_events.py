"""A model whose events the portfolio no longer has is refused with what is missing, and disturbs nobody else."""

import json
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine

from db.access.online_requests import find_answer, store_request
from db.errors import SourceError
from db.ledger.job_lifecycle import list_jobs
from db.portfolios.catalog import save_portfolio
from db.schema.states import FailureCause, JobState
from scheduler.errors import UsageError
from scheduler.requests.job_submission import Request, check_scoring, submit_scoring
from tests.integration.worker.events.conftest import Trained
from tests.integration.worker.events.event_book import (
    BOOK,
    EVENTS,
    definition,
    fill,
    request_of,
    start_night,
    train,
    work_on,
    worker,
)
from worker.runtime.context import WorkerContext
from worker.runtime.settings import WorkerSettings
from worker.scoring.online_scoring import OnlineAnswerer

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]  # they need a model

REMOVED: dict[str, tuple[dict[str, Any], str]] = {
    "table": ({"events": ()}, "the events bookings"),
    "column": ({"events": (replace(EVENTS, fields=()),)}, "the column amount of the events bookings"),
    "type": ({"events": (replace(EVENTS, type=None),)}, "the column kind of the events bookings"),
}


@pytest.mark.parametrize("removed", REMOVED)
def test_it_is_refused_at_submission(context: WorkerContext, trained: Trained, removed: str) -> None:
    changes, missing = REMOVED[removed]
    save_portfolio(context.engine, definition(**changes), who="test")
    for ask in (
        lambda: submit_scoring(context.engine, BOOK, Request("me")),
        lambda: check_scoring(context.engine, BOOK, model=None, shard_rows=None),
    ):
        with pytest.raises(UsageError, match=f"{trained.model.version} reads {missing}") as refused:
            ask()
        assert "train a new model" in str(refused.value)
    assert list_jobs(context.engine) == []


def test_a_table_of_another_name_is_read_where_the_portfolio_says_so(context: WorkerContext) -> None:
    """What is checked is what will be read: the present file's source."""
    elsewhere = replace(EVENTS, source="archive")
    save_portfolio(context.engine, definition(events=(elsewhere,)), who="test")
    with pytest.raises(SourceError, match="archive"):
        submit_scoring(context.engine, BOOK, Request("me"))
    assert list_jobs(context.engine) == []


@pytest.mark.parametrize("removed", REMOVED)
def test_a_shard_says_what_is_missing(context: WorkerContext, removed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    changes, missing = REMOVED[removed]
    save_portfolio(context.engine, definition(**changes), who="test")
    monkeypatch.setattr("scheduler.requests.job_submission.require_same_events", lambda *_: None)
    job = work_on(context, start_night(context))
    assert (job.state, job.cause) == (JobState.FAILED, FailureCause.SOURCE_UNREADABLE)
    assert f"the model reads {missing}" in (job.detail or "")


def test_an_online_request_is_answered_with_it_and_the_shards_of_others_go_on(
    context: WorkerContext, trained: Trained, redis_url: str
) -> None:
    night = start_night(context)
    save_portfolio(context.engine, definition(events=()), who="test")
    settings = WorkerSettings(home=trained.home, redis_url=SecretStr(redis_url))
    answerer = OnlineAnswerer.for_worker(replace(context, settings=settings))
    given = request_of(trained.frame.iloc[:1], trained.events[:8])
    request_id = store_request(context.engine, BOOK, json.dumps(given), seconds=60)
    assert answerer.answer(request_id)
    answer = find_answer(context.engine, request_id)
    assert "the model reads the events bookings" in str(answer)
    answerer.stop_listening()
    answerer.bell.close()
    assert work_on(context, night).state is JobState.DONE


@pytest.mark.parametrize("removed", ["table", "column"])
def test_a_new_model_can_be_trained_although_the_champion_can_no_longer_be_compared(
    sqlite_engine: Engine, trained: Trained, removed: str
) -> None:
    changes, _ = REMOVED[removed]
    fill(sqlite_engine, trained.frame, trained.events)
    trained.add_model(sqlite_engine)
    save_portfolio(sqlite_engine, definition(**changes), who="test")
    job = train(worker(sqlite_engine, trained.home))
    assert job.state is JobState.DONE, job.detail
