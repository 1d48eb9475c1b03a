"""An event after a record's moment, be it by a microsecond, changes nothing; one at the moment counts."""

import pandas as pd
import pytest
from sqlalchemy import Engine

from db.portfolios.catalog import get_portfolio
from tests.integration.worker.events.conftest import Trained
from tests.integration.worker.events.event_book import (
    BOOK,
    Event,
    add_events,
    definition,
    fill,
    late_events,
    request_of,
    score,
    scores_of,
    start_training,
    train,
    worker,
)
from transformer.bundles.bundle import load_bundle
from worker.contract.messages import TRAINING_QUEUE
from worker.learning.book_reading import read_book
from worker.runtime.context import WorkerContext, claimed_shard
from worker.scoring.model_cache import ModelSlot
from worker.scoring.online_scoring import score_records

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]  # they need a model


def test_a_later_event_changes_no_score_and_one_at_the_moment_does(context: WorkerContext, trained: Trained) -> None:
    before = score(context)
    add_events(context.engine, late_events(trained.frame, microseconds=1))
    after = score(context)
    assert (after.digest, after.data_fingerprint) == (before.digest, before.data_fingerprint)
    add_events(context.engine, late_events(trained.frame, microseconds=0))
    counted = score(context)
    assert counted.data_fingerprint != before.data_fingerprint
    pairs = zip(scores_of(context.engine, before).items(), scores_of(context.engine, counted).items(), strict=True)
    assert sum(one != other for one, other in pairs) > len(trained.frame) / 2


def test_a_later_event_changes_no_aggregate_that_is_learned_from(context: WorkerContext, trained: Trained) -> None:
    before = _aggregates(context, trained)
    add_events(context.engine, late_events(trained.frame, microseconds=1))
    pd.testing.assert_frame_equal(_aggregates(context, trained), before)
    add_events(context.engine, late_events(trained.frame, microseconds=0))
    counted = _aggregates(context, trained)
    assert (counted["bookings.count"] == before["bookings.count"] + 1).all()


def test_a_later_event_changes_no_held_out_figure(sqlite_engine: Engine, trained: Trained) -> None:
    fill(sqlite_engine, trained.frame, [*trained.events, *late_events(trained.frame, microseconds=1)])
    job = train(worker(sqlite_engine, trained.home))
    assert (job.result or {})["metrics"] == trained.model.metrics


def test_a_later_event_changes_no_answer_and_one_at_the_moment_does(context: WorkerContext, trained: Trained) -> None:
    before = _answers(context, trained, [])
    assert _answers(context, trained, late_events(trained.frame, microseconds=1)) == before
    counted = _answers(context, trained, late_events(trained.frame, microseconds=0))
    assert sum(counted[key] != before[key] for key in before) > len(before) / 2


def _aggregates(context: WorkerContext, trained: Trained) -> pd.DataFrame:
    schema = load_bundle(context.settings.bundles_url, trained.model.version).schema
    start_training(context)
    with claimed_shard(context, TRAINING_QUEUE, None) as claim:
        assert claim is not None
        book, _ = read_book(context, definition(), context.heartbeat(claim))
    records = book.reading(schema).records
    return records.take(pd.RangeIndex(len(records)).to_numpy(), tuple(sorted(schema.event_fields)))


def _answers(context: WorkerContext, trained: Trained, more: list[Event]) -> dict[str, float]:
    scorer = ModelSlot(context.engine, context.settings.bundles_url).scorer(trained.model.version)
    given = request_of(trained.frame, [*trained.events, *more])
    found = score_records(given, scorer, get_portfolio(context.engine, BOOK))
    assert found["rejects"] == []
    return {one["record_key"]: one["probability"] for one in found["scores"]}
