"""What a network of events reads of each event: its values and names, and where it stands in time.

A token holds numbers and names. Its numbers are the days before the record's moment, the days since the event before,
the hour (UTC), the event's own values, and the days since the last event of each common type. Its names are those of
the event and the day of the week.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from transformer.events.candidates import common_names
from transformer.events.event_columns import EventColumns
from transformer.events.event_sums import fill_token_numbers
from transformer.records.event_schema import EventTable
from transformer.records.holders import LEAST_HOLDERS

KNOTS = 9  # of a number: it is read as its place between them
MOST_NUMBERS = 24  # values of an event
MOST_TRACKED = 16  # types whose last event is looked for
MOST_TOKENS = 512  # of a record: attention costs their square
LARGEST = 1e30  # numbers beyond it are read as this: what is infinite in single precision cannot be weighed
DAYS = 7
MISSING, OTHER = 0, 1  # places of a name that is missing, and of one that has no place of its own
_OWN = 2
_TIMES = 3  # numbers that every token has

Floats = NDArray[np.float32]


class Tokens(NamedTuple):
    """T tokens of N records: those of record i are `starts[i]` to `starts[i + 1]`, oldest first.

    `numbers` (T, F) are NaN where missing; `names` (T, C) are places among those of their column.
    """

    starts: NDArray[np.int64]
    numbers: Floats
    names: NDArray[np.int32]


@dataclass(frozen=True)
class TokenForm:
    """Which columns a token holds, the names with a place of their own, and the knots (F, KNOTS) of each number.

    The first `tracked` names of the first column are the types whose last event is looked for. Of a record the newest
    `most` events become tokens.
    """

    numbers: tuple[str, ...]
    names: tuple[tuple[str, tuple[str, ...]], ...]
    tracked: int
    most: int
    knots: Floats

    @classmethod
    def fit(cls, table: EventTable, events: EventColumns) -> Self:
        """Learn names and knots from the events of records to learn from."""
        known = tuple((name, common_names(events, name)) for name in table.names)
        names = tuple((name, own) for name, own in known if len(own) > 1)
        tracked = len(names[0][1][:MOST_TRACKED]) if names and names[0][0] == table.type else 0
        numbers = table.numbers[:MOST_NUMBERS]
        most = min(table.most, MOST_TOKENS)
        blank = np.zeros((cls.count_numbers(numbers, tracked), KNOTS), np.float32)
        form = cls(numbers, names, tracked, most, blank)
        read = form.read(events)
        owners = np.repeat(np.arange(events.records), np.diff(read.starts))
        return cls(numbers, names, tracked, most, np.stack([_place_knots(one, owners) for one in read.numbers.T]))

    @staticmethod
    def count_numbers(numbers: tuple[str, ...], tracked: int) -> int:
        """Return F, the numbers that a token has."""
        return _TIMES + len(numbers) + tracked

    @property
    def places(self) -> tuple[int, ...]:
        """How many places each column of names has, the day of the week last."""
        return (*(_OWN + len(own) for _, own in self.names), DAYS)

    def read(self, events: EventColumns) -> Tokens:
        """Return the tokens of the records' newest events."""
        counts = np.minimum(np.diff(events.starts), self.most)
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        kept = np.repeat(events.starts[1:] - starts[1:], counts) + np.arange(starts[-1])
        names = [_places_of(events, name, own) for name, own in self.names]
        types = names[0] - _OWN if self.tracked else np.full(len(events.age), -1)
        values = [events.numbers[name] for name in self.numbers]
        stacked = np.clip(np.stack(values), -LARGEST, LARGEST) if values else np.zeros((0, len(events.age)))
        numbers = np.empty((len(kept), len(self.knots)), np.float32)
        fill_token_numbers(events.starts, starts, events.age, events.clock, types, self.tracked, stacked, numbers)
        day = events.clock[kept].astype(np.int32)
        return Tokens(starts, numbers, np.stack([*(one[kept] for one in names), day], axis=1).astype(np.int32))


def _places_of(events: EventColumns, column: str, own: tuple[str, ...]) -> NDArray[np.int64]:
    place = {name: number for number, name in enumerate(own, start=_OWN)}
    names = events.names[column]
    return np.array([*(place.get(name, OTHER) for name in names.names), MISSING])[names.codes]


def _place_knots(values: "NDArray[Any]", owners: NDArray[np.int64]) -> Floats:
    """Return different quantiles, and infinity for those that are missing.

    Each is the mean of neighbours that belong to `LEAST_HOLDERS` records or more, so that it is nobody's value.
    """
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known], kind="stable")]
    places = np.round(np.linspace(0, 1, KNOTS) * max(0, len(order) - 1)).astype(np.int64)
    means = [_mean_of_holders(values[order], owners[order], place) for place in places.tolist()]
    found = np.unique(np.array([one for one in means if one is not None], np.float32))
    found = found if len(found) else np.zeros(1, np.float32)
    return np.append(found, np.full(KNOTS - len(found), np.inf)).astype(np.float32)


def _mean_of_holders(values: "NDArray[Any]", owners: NDArray[np.int64], place: int) -> float | None:
    """Return the mean of the values about a place; None if fewer records have one."""
    reach = LEAST_HOLDERS
    while True:
        near = slice(max(0, place - reach), place + reach + 1)
        if len(np.unique(owners[near])) >= LEAST_HOLDERS:
            return float(values[near].mean(dtype=np.float64))
        if reach > len(values):
            return None
        reach *= 2
