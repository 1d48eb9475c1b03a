"""A past to play over: records in nights, their outcomes, and when each outcome was known."""

from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from transformer.records.labelled_book import Book
from transformer.records.record_store import RecordStore
from transformer.records.schema import RecordSchema
from transformer.training.fine_tuning import Material

FIRST = -1  # night of the records that the first model is trained on

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Past:
    """N records with known outcomes. `nights` says in which night each was scored, `FIRST` before all of them.

    `known` is the first night before which its outcome was known; `dates` are those of the nights.
    """

    records: RecordStore
    target: Floats
    keys: NDArray[np.object_]
    nights: Rows
    known: Rows
    dates: tuple[date, ...]
    schema: RecordSchema

    def reading(self, schema: RecordSchema) -> "Past":
        """Return the same past, read by the schema of a model: with the fields that it makes of events."""
        return replace(self, records=self.records.reading(schema), schema=schema)

    def rows_of(self, night: int) -> Rows:
        """Return the rows of one night."""
        return np.flatnonzero(self.nights == night)

    def rows_known(self, night: int) -> Rows:
        """Return the rows whose outcomes are known before a night is scored."""
        return np.flatnonzero(self.known <= night)

    def frame(self, rows: Rows) -> pd.DataFrame:
        """Return the input columns of some rows."""
        return self.records.take(rows, self.schema.columns)

    def material(self, rows: Rows) -> Material:
        """Return some rows with their outcomes, to learn from or to judge by."""
        return Material(self.frame(rows), self.target[rows], self.keys[rows])

    def book(self, rows: Rows, *, held_out: Rows | None = None) -> Book:
        """Return some rows as the book of a training; `held_out` are rows of the past that it must hold out."""
        book = Book(self.records.part(rows), self.target[rows], self.keys[rows])
        return book if held_out is None else replace(book, holdout=np.isin(rows, held_out))

    def days(self, earlier: int, later: int) -> int:
        """Return the days from one night to another."""
        return (self.dates[later] - self.dates[earlier]).days
