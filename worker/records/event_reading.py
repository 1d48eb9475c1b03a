"""Reads records with their events, by the same key ranges, and makes the fields that a model reads of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from db.connections.engine import Engine, reading
from db.connections.frame_reading import reading_one_moment
from db.portfolios.definition import EventsDefinition, PortfolioDefinition
from db.sources.event_table import EVENT_AT, EVENT_KEY, begins_record, read_events
from db.sources.event_times import UNREADABLE
from db.sources.source_table import RECORD_KEY, KeyRange, plan_key_ranges, read_range
from transformer.errors import EventsMissingError
from transformer.events.aggregation import add_event_fields
from transformer.events.event_columns import EventColumns, join_events
from transformer.events.event_feed import count_feed
from transformer.records.event_schema import EventTable
from transformer.records.schema import RecordSchema
from worker.records.moments import DAY, moments_of
from worker.runtime.portfolio_mapping import event_table_of

NO_MOMENT = "no_moment"  # in a frame's `attrs`: the rows whose moment cannot be read
FEEDS = "feeds"  # the counts of each event table, by its name
BATCH_ROWS = 20_000  # records whose events are held as frames at a time

Moments = NDArray[np.int64]

_NONE = np.zeros(0, np.int64)


def columns_to_read(definition: PortfolioDefinition, schema: RecordSchema) -> tuple[str, ...]:
    """Return the columns of the source that a model needs, the moment too where it reads events."""
    moment = definition.moment_column if schema.events else None
    own = schema.source_columns
    return own if moment is None or moment in own else (*own, moment)


def read_shard(
    engine: Engine,
    definition: PortfolioDefinition,
    schema: RecordSchema,
    key_range: KeyRange,
    *,
    night: date,
    now: datetime | None = None,
) -> pd.DataFrame:
    """Return the records of a range as `read_range` does, with every column of the schema, all of one moment.

    Rows without a readable moment are named in `attrs[NO_MOMENT]`; they have no events. If `now` is given, the feeds
    are counted in `attrs[FEEDS]`. Raises `EventsMissingError` for events that the portfolio no longer has, and
    `SourceError`.
    """
    columns = columns_to_read(definition, schema)
    if not schema.events:
        return read_range(engine, definition.records, definition.key, columns, key_range)
    tables = [table for table in schema.events if table.aggregates]
    with reading_one_moment(engine):
        frame = read_range(engine, definition.records, definition.key, columns, key_range)
        moments = moments_of(frame, definition, night)
        events = {
            table.name: read_columns_of(engine, definition, table, key_range, frame[RECORD_KEY], moments)
            for table in tables
        }
    whole = add_event_fields(frame, tables, events)
    whole.attrs[NO_MOMENT] = np.flatnonzero(moments == UNREADABLE)
    if now is not None:
        whole.attrs[FEEDS] = {name: count_feed(one, moments, now) for name, one in events.items()}
    return whole


def read_whole_book(
    engine: Engine, definition: PortfolioDefinition, schema: RecordSchema, *, night: date
) -> Iterator[pd.DataFrame]:
    """Yield every record that has a key and a moment, in key order, with every column of the schema."""
    with reading(engine) as connection:
        ranges = plan_key_ranges(connection, definition.records, definition.key, shard_rows=BATCH_ROWS)
    for key_range in ranges:
        if not key_range.holds_missing_keys:
            frame = read_shard(engine, definition, schema, key_range, night=night)
            left_out = frame.attrs.get(NO_MOMENT, [])
            yield frame.drop(index=frame.index[left_out]).reset_index(drop=True) if len(left_out) else frame


def read_events_of(
    engine: Engine, definition: PortfolioDefinition, schema: RecordSchema, records: "ReadRecords"
) -> dict[str, EventColumns]:
    """Return the events of N records that were read range by range, table by table."""
    found: dict[str, EventColumns] = {}
    for table in schema.events:
        parts = [
            read_columns_of(
                engine, definition, table, records.ranges[number], records.keys[part], records.moments[part]
            )
            for number, part in records.parts()
        ]
        found[table.name] = join_events(parts)
    return found


@dataclass(frozen=True)
class ReadRecords:
    """N records in the order in which they were read: the ranges, the number of each one's range, key and moment."""

    ranges: list[KeyRange]
    range_of: NDArray[np.int64]
    keys: "pd.Series[str]"
    moments: Moments

    def parts(self) -> Iterator[tuple[int, slice]]:
        """Yield the ranges that records are of, and where these records stand."""
        starts = np.flatnonzero(np.diff(self.range_of, prepend=-1))
        for start, stop in pairwise([*starts.tolist(), len(self.range_of)]):
            yield int(self.range_of[start]), slice(start, stop)


def read_columns_of(
    engine: Engine,
    definition: PortfolioDefinition,
    table: EventTable,
    key_range: KeyRange,
    keys: "pd.Series[str]",
    moments: Moments,
) -> EventColumns:
    """Return the events of the records of one range; of equal keys the first record has them."""
    events = find_events(definition, table)
    known = moments[moments != UNREADABLE]
    if not len(known):
        return EventColumns.of(_empty(table), _NONE, _NONE, moments, table)
    window = None if table.window_days is None else int(table.window_days * DAY)
    after = None if window is None else int(known.min()) - window
    frame = read_events(engine, definition.events_of(events), events, key_range, after=after, upto=int(known.max()))
    record = match_keys(keys, frame[EVENT_KEY])
    return EventColumns.of(frame, frame[EVENT_AT].to_numpy(), record, moments, table)


def match_keys(keys: "pd.Series[str]", event_keys: "pd.Series[str]") -> NDArray[np.int64]:
    """Return the position of each event's record, by its key; -1 for none. Equal keys of events stand together."""
    is_new = begins_record(event_keys)
    own = event_keys[is_new].astype("str")
    first = ~keys.duplicated().to_numpy()
    places = np.flatnonzero(first)
    found = pd.Index(keys[first].astype("str")).get_indexer(pd.Index(own))
    record = np.where(found < 0, -1, places[found]) if len(places) else np.full(len(own), -1)
    return record[np.cumsum(is_new) - 1].astype(np.int64)


def find_events(definition: PortfolioDefinition, table: EventTable) -> EventsDefinition:
    """Return what the portfolio says of a table. Raises `EventsMissingError` if it lacks what a model reads of it."""
    events = next((one for one in definition.events if one.name == table.name), None)
    if events is None:
        raise EventsMissingError(table.name)
    there = event_table_of(events)
    missing = next((one for one in (*table.names, *table.numbers) if one not in (*there.names, *there.numbers)), None)
    if missing is not None:
        raise EventsMissingError(table.name, missing)
    return events


def require_events(definition: PortfolioDefinition, schema: RecordSchema) -> None:
    """Raise `EventsMissingError` if the portfolio lacks events that a model reads."""
    for table in schema.events:
        find_events(definition, table)


def _empty(table: EventTable) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series([], dtype="object") for name in (*table.names, *table.numbers)})
