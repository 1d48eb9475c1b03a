"""Gives a book the fields that a network will read of its events, before anything else is prepared."""

from collections.abc import Callable
from typing import Literal

from transformer.events.event_preparation import choose_event_fields, read_event_fields
from transformer.records.labelled_book import Book
from transformer.records.schema import RecordSchema
from transformer.training.preparation import Document, PreparationOptions, find_learning_rows

Effort = Literal["quick", "aggregates", "whole"]  # of the whole, networks of events are a part


def with_event_fields(
    book: Book,
    schema: RecordSchema,
    how: PreparationOptions,
    read_as: RecordSchema | None,
    on_batch: Callable[[], None],
    *,
    effort: Effort,
) -> tuple[Book, RecordSchema, Document]:
    """Return book and schema with the fields that the network will read of events, and what was tried.

    `read_as` is the schema of the network that a training starts from, whose fields are kept; and so are those of a
    schema that has them already.
    """
    if not schema.events:
        return book, schema, {}
    known = read_as or (schema if schema.event_fields else None)
    if known is not None:
        has_order = any(one.measure == "order" for table in known.events for one in table.aggregates)
        rows = find_learning_rows(book, known.without_aggregates, how) if has_order else None
        return read_event_fields(book, known, rows, on_batch), known, {}
    how_far = {"quick": effort == "quick", "tries_order": effort == "whole"}
    return choose_event_fields(book, schema, find_learning_rows(book, schema, how), on_batch, **how_far)
