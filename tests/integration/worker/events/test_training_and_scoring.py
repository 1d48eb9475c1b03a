"""A book with events is trained and scored alike: again, in other shards, on another database, and as a request."""

import pytest

from db.connections.engine import opened_engine
from db.portfolios.catalog import get_portfolio
from db.results.verification import verify_job
from db.schema.states import JobState
from tests.integration.worker.events.conftest import Trained
from tests.integration.worker.events.event_book import (
    BOOK,
    RECORDS,
    TABLE,
    fill,
    request_of,
    score,
    scores_of,
    train,
    worker,
)
from transformer.bundles.bundle import load_bundle
from worker.runtime.context import WorkerContext
from worker.scoring.model_cache import ModelSlot
from worker.scoring.online_scoring import score_records

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]  # they train


def test_another_database_gives_the_same_model_and_the_same_scores(postgres_url: str, trained: Trained) -> None:
    with opened_engine(postgres_url) as engine:
        fill(engine, trained.frame, trained.events)
        trained.add_model(engine)
        _train_and_compare(worker(engine, trained.home), trained)


def _train_and_compare(context: WorkerContext, trained: Trained) -> None:
    job = train(context)
    assert job.state is JobState.DONE, job.detail
    assert (job.result or {})["metrics"] == trained.model.metrics
    assert job.model_version is not None
    url = context.settings.bundles_url
    own, first = load_bundle(url, job.model_version), load_bundle(url, trained.model.version)
    assert own.schema == first.schema
    assert len(own.schema.events[0].aggregates) > 2
    nights = [score(context, model=version) for version in (job.model_version, trained.model.version)]
    assert [(one.state, one.scored) for one in nights] == [(JobState.DONE, RECORDS)] * 2
    scores = [scores_of(context.engine, one) for one in nights]
    assert scores[0] == scores[1]
    assert len(set(scores[0].values())) > RECORDS / 2


def test_the_canary_has_made_up_events_and_a_night_tells_of_another_aggregation(context: WorkerContext) -> None:
    slot = ModelSlot(context.engine, context.settings.bundles_url)
    version = score(context).model_version
    assert version is not None
    scorer = slot.scorer(version)
    assert scorer.reference is not None
    events = scorer.reference.canary.events
    assert events is not None
    assert list(events) == [TABLE]
    unchanged = slot.canary(version, 1)
    assert unchanged is not None
    assert unchanged.mismatches == 0
    events[TABLE]["events"]["before"] = [2 * one for one in events[TABLE]["events"]["before"]]
    changed = slot.canary(version, 2)
    assert changed is not None
    assert changed.mismatches > 0


def test_neither_a_second_night_nor_other_shards_change_a_score(context: WorkerContext) -> None:
    nights = [score(context, shard_rows=rows) for rows in (100, 100, 37, RECORDS)]
    assert {one.state for one in nights} == {JobState.DONE}
    assert [one.shards_total for one in nights] == [4, 4, 11, 1]
    assert len({one.digest for one in nights}) == len({one.data_fingerprint for one in nights}) == 1
    assert verify_job(context.engine, nights[2].id).problems == ()


def test_a_request_with_the_same_events_and_moment_gets_the_same_score(
    context: WorkerContext, trained: Trained
) -> None:
    stored = scores_of(context.engine, score(context))
    scorer = ModelSlot(context.engine, context.settings.bundles_url).scorer(trained.model.version)
    given = request_of(trained.frame, trained.events)
    found = score_records(given, scorer, get_portfolio(context.engine, BOOK))
    assert (found["rejects"], found["ignored_columns"]) == ([], [])
    assert {one["record_key"]: one["probability"] for one in found["scores"]} == stored
    without = [{**one, "events": {TABLE: []}} for one in given]
    other = score_records(without, scorer, get_portfolio(context.engine, BOOK))
    assert {one["record_key"]: one["probability"] for one in other["scores"]} != stored
