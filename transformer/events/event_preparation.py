"""Chooses the aggregates of a book's events before a model is trained on it, by the records that it will learn from."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from transformer.events.aggregate_choice import CHOICE_ROWS, Choice, Sample, choose_aggregates
from transformer.events.event_store import EventStore
from transformer.records.labelled_book import Book
from transformer.records.learning_folds import LearningFolds
from transformer.records.schema import RecordSchema
from transformer.records.splitting import Indices, Labelled


def choose_event_fields(
    book: Book,
    schema: RecordSchema,
    rows: Indices,
    on_batch: Callable[[], None] = lambda: None,
    *,
    quick: bool = False,
) -> tuple[Book, RecordSchema, Choice | None]:
    """Return book and schema with the aggregates that a model should read.

    `rows` are the labelled records to learn from. A schema without events stays as it is, and so does one whose
    aggregates are known.
    """
    store = book.records
    if not isinstance(store, EventStore):
        return book, schema, None
    choice = None
    if not schema.event_fields:
        choice = choose_aggregates(_draw_sample(book, store, schema, rows), schema, on_batch, quick=quick)
        schema = schema.with_aggregates(choice.tables)
    return book.reading(schema), schema, choice


def _draw_sample(book: Book, store: EventStore, schema: RecordSchema, rows: Indices) -> Sample:
    chosen = rows
    if len(rows) > CHOICE_ROWS:
        chosen = np.sort(np.random.default_rng(0).permutation(rows)[:CHOICE_ROWS])
    as_of = None if book.as_of is None else book.as_of[chosen]
    entity = None if book.entity is None else book.entity[chosen]
    labelled = Labelled(chosen, book.target[chosen], book.keys[chosen], as_of, entity)
    events = {name: one.take(chosen) for name, one in store.events.items()}
    frame = store.take(chosen, schema.source_columns)
    folds = LearningFolds.deal(labelled)
    if not folds.pairs():  # all records have one date: none comes before another
        folds = LearningFolds.deal(replace(labelled, as_of=None))
    return Sample(frame, events, book.target[chosen], folds)
