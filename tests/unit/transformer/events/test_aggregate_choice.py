"""What a model reads of events is chosen by records that it learns from, and by none that it is judged by."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.unit.transformer.events.logs import START, TABLE
from transformer.events.aggregate_choice import SIZES, Sample, choose_aggregates
from transformer.events.event_columns import DAY, EventColumns
from transformer.events.event_preparation import choose_event_fields
from transformer.events.event_store import EventStore
from transformer.records.labelled_book import Book
from transformer.records.learning_folds import LearningFolds
from transformer.records.record_store import FrameStore
from transformer.records.schema import Field, RecordSchema
from transformer.training.event_fields import with_event_fields
from transformer.training.model_training import TrainingOptions, train_model
from transformer.training.preparation import PreparationOptions

SCHEMA = RecordSchema((Field("income", "numeric"),), (), (TABLE,))
RECORDS = 600


def draw_book(seed: int = 3) -> Book:
    """Records whose outcome says how long ago the last salary came."""
    random = np.random.default_rng(seed)
    each = 10
    record = np.repeat(np.arange(RECORDS), each)
    at = START + (random.random(RECORDS * each) * 60 * DAY).astype(np.int64)
    moments = np.full(RECORDS, START + 60 * DAY)
    kinds = np.array(["cash", "food", "salary"], dtype=object)[random.integers(0, 3, len(at))]
    frame = pd.DataFrame({"kind": kinds, "amount": random.normal(50, 9, len(at)), "shop": ["a"] * len(at)})
    columns = EventColumns.of(frame, at, record, moments, TABLE)
    last = pd.Series(at)[kinds == "salary"].groupby(record[kinds == "salary"]).max()
    since = (moments[0] - last.reindex(range(RECORDS)).fillna(START).to_numpy()) / DAY
    odds = (since > np.median(since)) * 4.0 - 2.0
    target = (random.random(RECORDS) < 1 / (1 + np.exp(-odds))).astype(np.float64)
    own = pd.DataFrame({"income": random.normal(0, 1, RECORDS)})
    keys = np.array([str(number) for number in range(RECORDS)], dtype=object)
    return Book(EventStore.of(FrameStore(own), moments, {"log": columns}), target, keys)


def sample_of(book: Book) -> Sample:
    store = book.records
    assert isinstance(store, EventStore)
    folds = LearningFolds.deal_evenly(book.target, np.random.default_rng(1).random(RECORDS))
    return Sample(store.take(np.arange(RECORDS), ("income",)), store.events, book.target, folds)


def test_the_aggregate_that_decides_is_chosen() -> None:
    choice = choose_aggregates(sample_of(draw_book()), SCHEMA)
    fields = [one.field for table in choice.tables for one in table.aggregates]
    assert "log[salary].days_since_last" in fields
    assert len(fields) <= SIZES[-1]


def test_the_same_sample_gives_the_same_choice() -> None:
    first, second = (choose_aggregates(sample_of(draw_book()), SCHEMA) for _ in range(2))
    assert (first.tables, first.report) == (second.tables, second.report)


def test_outcomes_of_records_that_are_not_learned_from_change_no_choice() -> None:
    book, rows = draw_book(), np.arange(400)
    _, schema, _ = choose_event_fields(book, SCHEMA, rows)
    turned = book.target.copy()
    turned[400:] = 1 - turned[400:]
    _, again, _ = choose_event_fields(replace(book, target=turned), SCHEMA, rows)
    assert again == schema


def test_aggregates_that_are_known_are_not_chosen_again() -> None:
    _, schema, _ = choose_event_fields(draw_book(), SCHEMA, np.arange(400))
    how = PreparationOptions(0.12, 0.15)
    book, same, tried = with_event_fields(draw_book(seed=4), SCHEMA, how, schema, lambda: None, effort="whole")
    assert same == schema
    assert tried == {}
    assert book.records.take(np.arange(5), same.columns).shape == (5, len(same.columns))


def test_a_record_of_events_alone_can_be_trained_on_and_its_schema_comes_back_from_the_bundle() -> None:
    schema = RecordSchema((), (), (TABLE,))
    model = train_model(draw_book(), schema, options=TrainingOptions(seed=1, quick=True))
    assert model.metrics["roc_auc"] > 0.8
    assert model.schema.without_aggregates == schema
    assert RecordSchema.from_document(model.schema.to_document()) == model.schema
    assert model.schema.source_columns == ()


@pytest.mark.parametrize("document", [SCHEMA.to_document(), replace(SCHEMA, events=()).to_document()])
def test_a_schema_reads_back_what_it_wrote(document: dict[str, object]) -> None:
    assert RecordSchema.from_document(document).to_document() == document


def test_the_fingerprint_of_a_schema_without_events_is_that_of_older_releases() -> None:
    assert "events" not in replace(SCHEMA, events=()).to_document()


def test_a_book_whose_event_table_is_empty_is_trained_on_its_fields() -> None:
    book, none = draw_book(), np.zeros(0, np.int64)
    frame = pd.DataFrame({name: pd.Series([], dtype="object") for name in ("kind", "amount", "shop")})
    moments = np.full(RECORDS, START)
    store = EventStore.of(
        FrameStore(pd.DataFrame({"income": book.target})),
        moments,
        {"log": EventColumns.of(frame, none, none, moments, TABLE)},
    )
    model = train_model(replace(book, records=store), SCHEMA, options=TrainingOptions(seed=1, quick=True))
    assert model.metrics["roc_auc"] > 0.95


def test_records_of_one_date_are_dealt_without_it() -> None:
    book = replace(draw_book(), as_of=np.full(RECORDS, "2026-11-30", dtype=object))
    _, schema, _ = choose_event_fields(book, SCHEMA, np.arange(400), quick=True)
    assert "log[salary].days_since_last" in schema.event_fields
