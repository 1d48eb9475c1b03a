"""Real records in time order, cut into slices: calls of a bank from May 2008 to November 2010."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from transformer.records.labelled_book import Book
from transformer.records.schema import Field, RecordSchema
from transformer.training.fine_tuning import Material

DATA = Path(__file__).parents[2] / "shared" / "data" / "bank_marketing" / "data.parquet"
FIRST_ROWS, SLICES = 8_000, 33

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Records:
    """All records in time order; `slices` is -1 for those of the first training."""

    frame: pd.DataFrame
    target: Floats
    keys: NDArray[np.object_]
    slices: NDArray[np.int64]
    schema: RecordSchema

    def rows_of(self, number: int) -> NDArray[np.int64]:
        """The rows of one slice."""
        return np.flatnonzero(self.slices == number)

    def rows_before(self, number: int) -> NDArray[np.int64]:
        """The rows of all slices before this one, whose outcomes are known."""
        return np.flatnonzero(self.slices < number)

    def book(self, rows: NDArray[np.int64]) -> Book:
        """Some rows for a training from scratch."""
        return Book.of(self.frame.iloc[rows].reset_index(drop=True), self.target[rows], self.keys[rows])

    def labelled_part(self, rows: NDArray[np.int64]) -> Material:
        """Some rows for a lesson."""
        book = self.book(rows)
        return Material(book.records.take(np.arange(len(book.records))), book.target, book.keys)


def read_records(path: Path) -> Records:
    frame = pd.read_parquet(path).reset_index(drop=True)
    inputs = [name for name in frame.columns if name not in ("record_id", "split", "target")]
    fields = tuple(
        Field(name, "numeric" if pd.api.types.is_numeric_dtype(frame[name]) else "categorical") for name in inputs
    )
    later = np.arange(len(frame)) - FIRST_ROWS
    slices = np.where(later < 0, -1, later * SLICES // (len(frame) - FIRST_ROWS))
    keys = frame["record_id"].astype(str).to_numpy(dtype=object)
    return Records(frame[inputs], frame["target"].to_numpy(np.float64), keys, slices, RecordSchema(fields, ()))
