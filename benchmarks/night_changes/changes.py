"""What a change is: a name, what it does to a night, and which columns it touches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray

from benchmarks.night_changes.books import Book
from benchmarks.night_changes.nights import Night

ROWS = ("records", "keys", "rows")  # what a suspicion may name where no column is at fault


@dataclass(frozen=True)
class Changed:
    """A night after a change, and the columns that it touched; none of them where rows or the model were."""

    night: Night
    touched: Sequence[str] = ROWS


Apply = Callable[[Night, Book, Generator], Changed]


@dataclass(frozen=True)
class Change:
    """A named change; which column it takes, and which records, follows from the names of change and book."""

    name: str
    apply: Apply

    def make(self, night: Night, book: Book) -> Changed:
        """Return the night after the change."""
        return self.apply(night, book, np.random.default_rng(crc32(f"{book.name}: {self.name}".encode())))


def amount_of(book: Book, random: Generator) -> str:
    """Return one of the book's amounts."""
    return str(random.choice(book.roles.amounts))


def names_of(book: Book, random: Generator) -> str:
    """Return one of the book's columns of names."""
    return str(random.choice(book.roles.names))


def put(night: Night, column: str, values: Any) -> Changed:
    """Return the night with other values in a column."""
    return Changed(replace(night, records=night.records.assign(**{column: values})), (column,))


def scale(night: Night, column: str, factor: float, share: float, random: Generator) -> Changed:
    """Return the night with a share of a column's numbers multiplied."""
    is_chosen = random.random(len(night.records)) < share
    values = night.records[column].astype("float64")
    return put(night, column, values.where(~is_chosen, values * factor))


def take(night: Night, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Changed:
    """Return the night with some of its rows, each at most once."""
    records = night.records.iloc[np.arange(len(night.keys))[rows]].reset_index(drop=True)
    return Changed(replace(night, records=records, keys=night.keys[rows]))


def add(night: Night, rows: NDArray[np.int64], prefix: str = "new-") -> Changed:
    """Return the night with more records, alike to those of the rows given, under new keys."""
    more = night.records.iloc[rows]
    keys = np.array([f"{prefix}{number:06d}" for number in range(len(rows))], dtype=object)
    records = pd.concat([night.records, more], ignore_index=True)
    return Changed(replace(night, records=records, keys=np.concatenate([night.keys, keys])))


def draw(night: Night, weights: pd.Series, random: Generator) -> Changed:
    """Return as many records as the night has, drawn with weights; those drawn again have new keys."""
    odds = weights.to_numpy(np.float64)
    rows = np.sort(random.choice(len(odds), len(odds), p=odds / odds.sum()))
    is_first = ~pd.Series(rows).duplicated().to_numpy()
    keys = np.where(is_first, night.keys[rows], [f"new-{number:06d}" for number in range(len(rows))])
    return Changed(replace(night, records=night.records.iloc[rows].reset_index(drop=True), keys=keys))
