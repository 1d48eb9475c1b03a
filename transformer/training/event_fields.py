"""Gives a book the fields that a network will read of its events, before anything else is prepared."""

from collections.abc import Callable

from transformer.events.event_preparation import choose_event_fields
from transformer.records.labelled_book import Book
from transformer.records.schema import RecordSchema
from transformer.training.preparation import Document, PreparationOptions, find_learning_rows


def with_event_fields(
    book: Book,
    schema: RecordSchema,
    how: PreparationOptions,
    read_as: RecordSchema | None,
    on_batch: Callable[[], None],
    *,
    quick: bool,
) -> tuple[Book, RecordSchema, Document]:
    """Return book and schema with the aggregates that the network will read, and what was tried.

    `read_as` is the schema of the network that a training starts from, whose aggregates are kept.
    """
    if not schema.events:
        return book, schema, {}
    if read_as is not None:
        return book.reading(read_as), read_as, {}
    rows = find_learning_rows(book, schema, how)
    book, schema, choice = choose_event_fields(book, schema, rows, on_batch, quick=quick)
    return book, schema, {} if choice is None else {"events": choice.report}
