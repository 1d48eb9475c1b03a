"""The records of a book together with their events: aggregates are made when they are read, and never stored."""

from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from transformer.events.aggregation import make_aggregates
from transformer.events.event_columns import EventColumns
from transformer.records.event_schema import Aggregate
from transformer.records.record_store import RecordStore, Rows
from transformer.records.schema import RecordSchema


@dataclass(frozen=True)
class EventStore:
    """N records, the moments (N) at which they are judged and, by the name of each event table, their events.

    Moments are in microseconds since 1970. `made` are the aggregates that can be read as columns, each with its table.
    `given` are those whose values (N) are known, by their field: a network's for records that it has learnt from.
    """

    records: RecordStore
    moments: NDArray[np.int64]
    events: dict[str, EventColumns]
    made: dict[str, tuple[str, Aggregate]]
    given: dict[str, NDArray[np.float64]] = field(default_factory=dict[str, NDArray[np.float64]])

    @classmethod
    def of(cls, records: RecordStore, moments: NDArray[np.int64], events: dict[str, EventColumns]) -> Self:
        """Return the records with their events; no aggregates can be read yet."""
        return cls(records, moments, events, {})

    def reading(self, schema: RecordSchema) -> Self:
        """Return the same records, of which the aggregates of a schema can be read too."""
        known = {table.name for table in schema.events} & set(self.events)
        more = {one.field: (t.name, one) for t in schema.events if t.name in known for one in t.aggregates}
        return replace(self, made=self.made | more)

    def __len__(self) -> int:
        return len(self.records)

    def take(self, rows: Rows, columns: tuple[str, ...] | None = None) -> pd.DataFrame:
        """Return some of the records, with the aggregates among the wanted columns."""
        stored = None if columns is None else tuple(name for name in columns if name not in self.made)
        wanted = tuple(self.made) if columns is None else tuple(name for name in columns if name in self.made)
        frames = [self.records.take(rows, stored)]
        for table, events in self.events.items():
            own = (self.made[name] for name in wanted if name not in self.given)
            aggregates = [one for where, one in own if where == table]
            if aggregates:
                frames.append(make_aggregates(events.take(rows), aggregates))
        known = {name: self.given[name][rows] for name in wanted if name in self.given}
        if known:
            frames.append(pd.DataFrame(known))
        frame = pd.concat(frames, axis=1) if len(frames) > 1 else frames[0]
        return frame if columns is None else frame[list(columns)]

    def part(self, rows: Rows) -> "EventStore":
        """Return some of the records with their events."""
        events = {name: one.take(rows) for name, one in self.events.items()}
        given = {name: one[rows] for name, one in self.given.items()}
        return EventStore(self.records.part(rows), self.moments[rows], events, self.made, given)

    def allocate(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Return an array where the records lie."""
        return self.records.allocate(shape, dtype)
