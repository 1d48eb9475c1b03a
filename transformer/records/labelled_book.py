"""The records to learn from."""

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from transformer.records.record_store import FrameStore, RecordStore
from transformer.records.schema import RecordSchema


@dataclass(frozen=True)
class Book:
    """The N records to learn from: one row each in all.

    `target` is 1.0 for the bad event, 0.0, or NaN where not known; `as_of` is what orders the records in time.
    `entity` is whose record it is: those of one entity are never on both sides of a split. `holdout` marks the records
    to hold out; without it training chooses them. `left_out` says, where it matters, which records are not among them.
    """

    records: RecordStore
    target: NDArray[np.float64]
    keys: NDArray[np.object_]
    as_of: NDArray[np.object_] | None = None
    holdout: NDArray[np.bool_] | None = None
    entity: NDArray[np.object_] | None = None
    left_out: str = ""

    @classmethod
    def of(cls, frame: pd.DataFrame, target: NDArray[np.float64], keys: NDArray[np.object_], **more: Any) -> Self:
        """Return the book of a frame; `more` are the optional parts."""
        return cls(FrameStore(frame), target, keys, **more)

    @property
    def groups(self) -> NDArray[np.object_]:
        """What is hashed to choose a record's side of a split: its entity, else its key."""
        return self.keys if self.entity is None else self.entity

    def reading(self, schema: RecordSchema) -> "Book":
        """Return the same book, of which every column of a schema can be read, those made of events too."""
        return replace(self, records=self.records.reading(schema))

    def part(self, rows: NDArray[np.int64]) -> "Book":
        """Return some of the records."""
        optional: dict[str, Any] = {name: getattr(self, name) for name in ("as_of", "holdout", "entity")}
        chosen: dict[str, Any] = {name: None if values is None else values[rows] for name, values in optional.items()}
        part = Book(self.records.part(rows), self.target[rows], self.keys[rows], **chosen)
        return replace(part, left_out=self.left_out)
