"""Chooses what a model reads of a book's events before it is trained, by the records that it will learn from."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from transformer.events.aggregate_choice import CHOICE_ROWS, Choice, Sample, choose_aggregates
from transformer.events.event_store import EventStore
from transformer.events.order_choice import Learning, Order, choose_order, cross_again, sample_places, with_orders
from transformer.records.labelled_book import Book
from transformer.records.learning_folds import LearningFolds
from transformer.records.schema import RecordSchema
from transformer.records.splitting import Indices, Labelled

OnBatch = Callable[[], None]


def choose_event_fields(
    book: Book,
    schema: RecordSchema,
    rows: Indices,
    on_batch: OnBatch = lambda: None,
    *,
    quick: bool = False,
    tries_order: bool = True,
) -> tuple[Book, RecordSchema, dict[str, Any]]:
    """Return book and schema with the fields that a model should read of events, and a JSON document of what was tried.

    `rows` are the labelled records to learn from. A schema without events stays as it is. A quick choice tries no
    networks of events.
    """
    store = book.records
    if not isinstance(store, EventStore):
        return book, schema, {}
    learning = _learning_of(book, rows)
    places = sample_places(rows, CHOICE_ROWS)
    choice = choose_aggregates(_sample_of(store, schema, learning, places), schema, on_batch, quick=quick)
    orders, report = ({}, {}) if quick or not tries_order else _choose_orders(choice, store, learning, places)
    schema = schema.with_aggregates(with_orders(choice.tables, orders))
    return _reading(book, store, schema, rows, orders), schema, {"events": choice.report | {"order": report}}


def read_event_fields(book: Book, schema: RecordSchema, rows: Indices | None, on_batch: OnBatch = lambda: None) -> Book:
    """Return the book with the fields of a schema that is known.

    `rows` are those to learn from, if the schema has networks of events: their values come from networks that have not
    seen them.
    """
    store = book.records
    if not isinstance(store, EventStore) or rows is None:
        return book.reading(schema)
    learning = _learning_of(book, rows)
    orders = {
        table.name: cross_again(one, table, store.events[table.name], learning, on_batch)
        for table in schema.events
        for one in table.aggregates
        if one.measure == "order"
    }
    return _reading(book, store, schema, rows, orders)


def _choose_orders(
    choice: Choice, store: EventStore, learning: Learning, places: Indices
) -> tuple[dict[str, Order], dict[str, Any]]:
    orders: dict[str, Order] = {}
    report: dict[str, Any] = {}
    usual = choice.bench.grow(choice.tables)
    for table in choice.tables:
        order, report[table.name] = choose_order(choice.bench, usual, table, store.events[table.name], learning, places)
        if order is not None:
            orders[table.name] = order
    return orders, report


def _reading(book: Book, store: EventStore, schema: RecordSchema, rows: Indices, orders: dict[str, Order]) -> Book:
    """Return the book with a schema's columns; of the rows learnt from, networks' values are those that are given."""
    given = dict(store.given)
    reading = store.reading(schema)
    for order in orders.values():
        field = order.aggregate.field
        values = reading.take(np.arange(len(store)), (field,))[field].to_numpy(np.float64, copy=True)
        values[rows] = order.values
        given[field] = values
    return replace(book, records=replace(reading, given=given))


def _learning_of(book: Book, rows: Indices) -> Learning:
    as_of = None if book.as_of is None else book.as_of[rows]
    entity = None if book.entity is None else book.entity[rows]
    labelled = Labelled(rows, book.target[rows], book.keys[rows], as_of, entity)
    folds = LearningFolds.deal(labelled)
    if not folds.pairs():  # all records have one date: none comes before another
        folds = LearningFolds.deal(replace(labelled, as_of=None))
    return Learning(rows, book.target[rows], folds, np.flatnonzero(np.isnan(book.target)))


def _sample_of(store: EventStore, schema: RecordSchema, learning: Learning, places: Indices) -> Sample:
    chosen = learning.rows[places]
    events = {name: one.take(chosen) for name, one in store.events.items()}
    frame = store.take(chosen, schema.source_columns)
    return Sample(frame, events, learning.target[places], learning.folds.take(places))
