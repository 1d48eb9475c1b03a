"""Reads the whole book of a portfolio for training: every record once, with its outcome if known."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from db.events.wording import counted
from db.portfolios.definition import PortfolioDefinition, Source
from db.sources.event_times import UNREADABLE as NO_TIME
from db.sources.source_table import DECIMAL_COMMA, RECORD_KEY, UNREADABLE, KeyRange, read_by_range
from transformer.errors import TrainingDataError
from transformer.events.event_store import EventStore
from transformer.records.labelled_book import Book
from transformer.records.record_store import RecordStore, RecordWriter, rows_at_once
from transformer.records.splitting import hash_order
from worker.learning.outcome_labels import Labels, join_outcomes
from worker.records.event_reading import ReadRecords, read_events_of
from worker.records.moments import moments_of
from worker.runtime.context import WorkerContext
from worker.runtime.heartbeat import Heartbeat
from worker.runtime.portfolio_mapping import schema_of

_SHOWN_COLUMNS = 5
_RANGE = "tidemark_range"  # number of the key range that a record was read with, in frames only


def read_book(
    context: WorkerContext, definition: PortfolioDefinition, heartbeat: Heartbeat, *, most: int | None = None
) -> tuple[Book, Labels]:
    """Return the book of a portfolio with a target, or a sample of `most` records.

    Raises `TrainingDataError`.
    """
    if definition.target is None:
        raise TrainingDataError(f"the portfolio {definition.name} has no target to train on", "add: target = COLUMN")
    known = read_labelled(context, definition, definition.input_columns, heartbeat, most=most)
    as_of = None if definition.as_of is None else known.own[definition.as_of].to_numpy()
    book = Book(
        known.records, known.labels.target, known.keys, as_of, entity=known.entity, left_out=known.left_out.sentence
    )
    return book, known.labels


@dataclass
class LeftOut:
    """Records with text in place of a number: how many, in which columns, and how many with a decimal comma."""

    records: int = 0
    with_comma: int = 0
    without_moment: int = 0
    by_column: Counter[str] = field(default_factory=Counter[str])

    def add(self, texts: "pd.Series[Any]") -> None:
        """Count the records of a frame by the content of `tidemark_unreadable`."""
        for unreadable in texts.dropna():
            columns: dict[str, str] = json.loads(unreadable)
            self.records += 1
            self.by_column.update(columns.keys())
            self.with_comma += any(DECIMAL_COMMA.match(text) for text in columns.values())

    @property
    def sentence(self) -> str:
        """A sentence for the result of the training, without any record's value; empty if there are none."""
        moments = f"{counted(self.without_moment, 'record')} without a moment left out" if self.without_moment else ""
        return "; ".join(one for one in (self._said_of_texts, moments) if one)

    @property
    def _said_of_texts(self) -> str:
        if not self.records:
            return ""
        columns = ", ".join(f"{name} ({count})" for name, count in self.by_column.most_common(_SHOWN_COLUMNS))
        commas = ": decimal commas, where a decimal point is expected" if 2 * self.with_comma > self.records else ""
        return f"{counted(self.records, 'record')} with text in place of a number, in {columns}{commas}, left out"


@dataclass(frozen=True)
class LabelledRecords:
    """N records with their labels, row by row. `own` has the key, the target, `as_of` and the entity."""

    records: RecordStore
    own: pd.DataFrame
    labels: Labels
    entity: NDArray[np.object_] | None
    left_out: LeftOut

    @property
    def keys(self) -> NDArray[np.object_]:
        """The keys as text."""
        return self.own[RECORD_KEY].to_numpy(dtype=object)


def read_labelled(
    context: WorkerContext,
    definition: PortfolioDefinition,
    columns: tuple[str, ...],
    heartbeat: Heartbeat,
    *,
    most: int | None = None,
) -> LabelledRecords:
    """Return every record with a key (for equal keys the first one) and their outcomes, row by row.

    `most` limits them to the lowest hashes of the key: the same ones in every training. Records with text in place of
    a number are left out, because they could not be scored either. A book larger than the setting
    `training_memory_mb` is kept in a file. Raises `TrainingDataError`.
    """
    names = (definition.target, definition.as_of, definition.entity, definition.moment if definition.events else None)
    own = tuple(dict.fromkeys(name for name in names if name is not None))
    wanted, source = tuple(dict.fromkeys((*columns, *own))), definition.learning_records
    settings = context.settings
    writer = RecordWriter(settings.scratch, most_bytes=settings.training_memory_mb * 1_000_000)
    kept_own: list[pd.DataFrame] = []
    ranges: list[KeyRange] = []
    frames = _read_numbered(context, definition, source, wanted, ranges)
    left_out = LeftOut()
    readable = _readable(frames, definition, heartbeat, left_out)
    for frame in readable if most is None else sample_lowest(readable, most):
        writer.append(frame[list(columns)])
        kept_own.append(_copy(frame[[RECORD_KEY, _RANGE, *own]]))
    if not kept_own:
        raise TrainingDataError(f"the source {source.name} contains no records", "load some: tidemark load")
    together = pd.concat(kept_own, ignore_index=True)
    target = np.full(len(together), np.nan) if definition.target is None else read_target(together[definition.target])
    labels = join_outcomes(context.engine, definition, together, target)
    records = _with_events(context, definition, writer.close(), together, ranges)
    return LabelledRecords(records, together, labels, _read_entity(together, definition), left_out)


def _read_numbered(
    context: WorkerContext,
    definition: PortfolioDefinition,
    source: Source,
    wanted: tuple[str, ...],
    ranges: list[KeyRange],
) -> Iterator[pd.DataFrame]:
    """Yield frames whose records know the number of their range in `ranges`, which is filled on the way."""
    rows = rows_at_once(4 * len(wanted), most=50_000)
    for key_range, frame in read_by_range(context.engine, source, definition.key, wanted, batch_rows=rows):
        yield frame.assign(**{_RANGE: len(ranges)})
        ranges.append(key_range)


def _with_events(
    context: WorkerContext,
    definition: PortfolioDefinition,
    records: RecordStore,
    own: pd.DataFrame,
    ranges: list[KeyRange],
) -> RecordStore:
    """Return the records together with their events, if the portfolio has any."""
    if not definition.events:
        return records
    moments = moments_of(own, definition, _today())
    read = ReadRecords(ranges, own[_RANGE].to_numpy(), own[RECORD_KEY], moments)
    return EventStore.of(records, moments, read_events_of(context.engine, definition, schema_of(definition), read))


def _today() -> date:
    return datetime.now(UTC).date()


def _readable(
    frames: Iterator[pd.DataFrame], definition: PortfolioDefinition, heartbeat: Heartbeat, left_out: LeftOut
) -> Iterator[pd.DataFrame]:
    """Records of one key come in one frame."""
    for frame in frames:
        left_out.add(frame[UNREADABLE])
        is_kept = ~frame[RECORD_KEY].duplicated() & frame[UNREADABLE].isna()
        if definition.events:
            has_moment = moments_of(frame, definition, _today()) != NO_TIME
            left_out.without_moment += int((is_kept & ~has_moment).sum())
            is_kept &= has_moment
        yield frame[is_kept].reset_index(drop=True)
        heartbeat()


def _copy(frame: pd.DataFrame) -> pd.DataFrame:
    """Return copies: a view, and Arrow text from a driver, would keep every other column alive."""
    return pd.DataFrame({name: pd.Series(frame[name].to_numpy(copy=True), dtype=frame[name].dtype) for name in frame})


def sample_lowest(frames: Iterator[pd.DataFrame], most: int) -> Iterator[pd.DataFrame]:
    """Yield the `most` records with the lowest hashes, in their order; at most twice as many are in memory."""
    held: list[tuple[NDArray[np.float64], pd.DataFrame]] = []
    for frame in frames:
        held.append((hash_order(frame[RECORD_KEY].to_numpy(dtype=object)), frame))
        if sum(len(one) for one, _ in held) > 2 * most:
            held = _lowest(held, most)
    for _, frame in _lowest(held, most):
        yield frame


def _lowest(
    held: list[tuple[NDArray[np.float64], pd.DataFrame]], most: int
) -> list[tuple[NDArray[np.float64], pd.DataFrame]]:
    every = np.concatenate([order for order, _ in held]) if held else np.zeros(0)
    if len(every) <= most:
        return held
    limit = np.partition(every, most - 1)[most - 1]
    return [(order[order <= limit], frame[order <= limit].reset_index(drop=True)) for order, frame in held]


def _read_entity(own: pd.DataFrame, definition: PortfolioDefinition) -> NDArray[np.object_] | None:
    """Return the entity of each record, if the portfolio names one; a record without an entity is its own."""
    if definition.entity is None:
        return None
    named = own[definition.entity].astype("object")
    return named.where(named.notna(), own[RECORD_KEY]).to_numpy(dtype=object)


def read_target(column: pd.Series) -> NDArray[np.float64]:
    """Return 1.0, 0.0 or NaN (not known) for each record. Raises `TrainingDataError` for anything else."""
    empty = column.isna() | column.astype("str").str.strip().eq("")
    target = pd.to_numeric(column.where(~empty), errors="coerce").to_numpy(dtype=np.float64)
    is_wrong = ~empty.to_numpy() & ~np.isin(target, (0.0, 1.0))
    if is_wrong.any():
        example = str(column.iloc[int(np.flatnonzero(is_wrong)[0])])[:40]
        raise TrainingDataError(
            f"the target {column.name} must be 1 (the bad event), 0 or empty; "
            f"{counted(int(is_wrong.sum()), 'record')} with something else, such as {example!r}",
            "correct those records, or choose another target column",
        )
    return target
