"""Events that come with the records of an online request, in place of those in the portfolio's tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from db.portfolios.definition import EventsDefinition, PortfolioDefinition
from db.sources.event_times import UNREADABLE, read_times
from transformer.events.aggregation import add_event_fields
from transformer.events.event_columns import EventColumns
from transformer.records.event_schema import EventTable
from transformer.records.schema import RecordSchema
from worker.records.event_reading import NO_MOMENT, find_events
from worker.records.moments import moments_of_column

EVENTS = "events"  # of a record: an object with a list of events for each table

Rejects = dict[int, tuple[str, str, str]]


@dataclass(frozen=True)
class GivenEvents:
    """The events of N records of a request. `rejects` are field, reason and detail of records that cannot be read."""

    tables: tuple[EventTable, ...]
    events: dict[str, EventColumns]
    rejects: Rejects

    def add_fields(self, frame: pd.DataFrame, rows: Sequence[int]) -> pd.DataFrame:
        """Return a frame of some of the records, by their numbers in the request, with the fields made of events."""
        chosen = np.array(rows, dtype=np.int64)
        return add_event_fields(frame, self.tables, {name: one.take(chosen) for name, one in self.events.items()})


def read_given_events(
    records: list[dict[str, Any]], definition: PortfolioDefinition, schema: RecordSchema, *, now: int
) -> GivenEvents:
    """Read the events of records as received in JSON. A record without a moment of its own is judged `now`.

    Raises `EventsMissingError` for a table that the portfolio no longer has.
    """
    tables = tuple(table for table in schema.events if table.aggregates)
    rejects: Rejects = {}
    moments = _moments(records, definition, rejects, now) if tables else np.zeros(0, np.int64)
    events = {
        table.name: _columns_of(records, find_events(definition, table), table, moments, rejects) for table in tables
    }
    return GivenEvents(tables, events, rejects)


def _moments(
    records: list[dict[str, Any]], definition: PortfolioDefinition, rejects: Rejects, now: int
) -> NDArray[np.int64]:
    column = definition.moment_column
    if column is None:
        return np.full(len(records), now)
    given = pd.Series([record.get(column) for record in records], dtype="object")
    moments = moments_of_column(given)
    is_blank = given.isna().to_numpy()
    for row in np.flatnonzero((moments == UNREADABLE) & ~is_blank).tolist():
        rejects[row] = (column, NO_MOMENT, "expected a time such as 2026-11-24T09:30:00")
    return np.where(is_blank, now, moments)


def _columns_of(
    records: list[dict[str, Any]],
    events: EventsDefinition,
    table: EventTable,
    moments: NDArray[np.int64],
    rejects: Rejects,
) -> EventColumns:
    owners: list[int] = []
    rows: list[dict[str, Any]] = []
    for number, record in enumerate(records):
        given, problem = _events_in(record, events)
        if problem is not None:
            rejects.setdefault(number, (f"{EVENTS}.{events.name}", *problem))
        owners += [number] * len(given)
        rows += given
    at = read_times(pd.Series([row.get(events.at) for row in rows], dtype="object"))
    for place in np.flatnonzero(at == UNREADABLE).tolist():
        detail = f"every event needs a time in {events.at}, such as 2026-11-24T09:30:00"
        rejects.setdefault(owners[place], (f"{EVENTS}.{events.name}.{events.at}", "no_time", detail))
    names = (*table.names, *table.numbers)
    frame = pd.DataFrame({name: pd.Series([row.get(name) for row in rows], dtype="object") for name in names})
    record = np.where(at == UNREADABLE, -1, np.array(owners, dtype=np.int64))
    return EventColumns.of(frame, at, record, moments, table)


def _events_in(record: dict[str, Any], events: EventsDefinition) -> tuple[list[dict[str, Any]], tuple[str, str] | None]:
    """Return the events of a record; if they cannot be read, none, and the reason and detail of its reject."""
    tables = record.get(EVENTS)
    given = tables.get(events.name) if isinstance(tables, dict) else None
    if given is None:
        return [], ("missing_events", f"send an empty list for a record without {events.name}")
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        return [], ("not_events", "expected a list of objects, one for each event")
    return given, None
