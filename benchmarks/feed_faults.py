"""Does the monitor name feeds of events that double, stop or are late, and hold its tongue on honest changes?

    python -m benchmarks.feed_faults FOLDER... [--draws 20] [--seed 1] [--name feed_faults]

A set is a folder as for `event_quality`. For each draw its records are dealt in two halves: the reference, and a night
in which one thing changes. In `as it is` each record keeps its own moment, in `one moment` all are judged at the end
of one day, a different weekday in each draw, and bookings rest at weekends. The counts and rules are the product's.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.report import write_report
from transformer.events.event_columns import DAY, EventColumns
from transformer.events.event_feed import Counts, count_feed
from transformer.records.event_schema import EventTable, EventValue
from worker.drift.event_signs import find_feed_signs

NOW, SUNDAY = datetime(2026, 12, 31, tzinfo=UTC), 20_786  # days since 1970
Random = np.random.Generator
Change = Callable[["Night", Random], "Night"]


@dataclass(frozen=True)
class Night:
    """N records' moments, and their events with `record` (the number of the record) and `at`, in microseconds."""

    moments: NDArray[np.int64]
    events: pd.DataFrame
    table: EventTable

    @property
    def age(self) -> NDArray[np.float64]:
        """The age of each event in days."""
        return (self.moments[self.events["record"]] - self.events["at"].to_numpy()) / DAY

    def keep(self, rows: Any) -> "Night":
        """Return the night with some of its events."""
        return replace(self, events=self.events[rows])

    def add(self, more: pd.DataFrame) -> "Night":
        """Return the night with more events."""
        return replace(self, events=pd.concat([self.events, more]))

    def count(self) -> Counts:
        """Count the night as a shard does."""
        events = self.events.sort_values(["record", "at"], kind="stable").reset_index(drop=True)
        at, record = events["at"].to_numpy(), events["record"].to_numpy()
        return count_feed(EventColumns.of(events, at, record, self.moments, self.table), self.moments, NOW)


def doubled(first: float, last: float) -> Change:
    """Every event of these ages stands twice."""
    return lambda night, _random: night.add(night.events[(night.age >= first) & (night.age < last)])


def late(days: float) -> Change:
    """No event of the last days has arrived."""
    return lambda night, _random: night.keep(night.age >= days)


def grown(share: float, days: float = np.inf) -> Change:
    """So many more events, at other times, with other numbers."""

    def change(night: Night, random: Random) -> Night:
        more = night.events[(random.random(len(night.events)) < share) & (night.age < days)].copy()
        more["at"] += random.integers(-DAY // 2, DAY // 2, len(more))
        for name in night.table.numbers:
            more[name] *= random.uniform(0.8, 1.2, len(more))
        return night.add(more)

    return change


def new_kind(night: Night, random: Random) -> Night:
    """A new kind of event in half of the records, without values, and with a date for its time."""
    record = np.repeat(np.flatnonzero(random.random(len(night.moments)) < 0.5), 4)
    days = night.moments[record] // DAY - random.integers(0, 30, len(record))
    return night.add(pd.DataFrame({"record": record, "at": days * DAY, "type": "visit"}))


def quiet_day(share: float) -> Change:
    """A holiday: so many events of the last day are missing."""
    return lambda night, random: night.keep((night.age >= 1) | (random.random(len(night.events)) >= share))


def dropped(share: float) -> Change:
    """So many events are missing, whatever their age."""
    return lambda night, random: night.keep(random.random(len(night.events)) >= share)


FAULTS: dict[str, Change] = {
    "all twice": doubled(0, np.inf),
    "the last day twice": doubled(0, 1),
    "the last 7 days twice": doubled(0, 7),
    "the last 28 days twice": doubled(0, 28),
    "the day before the last twice": doubled(1, 2),
    "a day late": late(1),
    "3 days late": late(3),
}
HONEST: dict[str, Change] = {
    "nothing": lambda night, _random: night,
    "30 % more events": grown(0.3),
    "twice as many events in the last 7 days": grown(1.0, 7),
    "a new kind of event": new_kind,
    "half as many on the last day": quiet_day(0.5),
    "a tenth as many on the last day": quiet_day(0.9),
    "half as many events": dropped(0.5),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--name", default="feed_faults")
    options = parser.parse_args()
    results = {
        f"{folder.name}, {how}": measure(folder, one_moment, options.draws, options.seed)
        for folder in options.folders
        for how, one_moment in (("as it is", False), ("one moment", True))
    }
    print(write_report(options.name, {"draws": options.draws, "seed": options.seed, "sets": results}))


def measure(folder: Path, one_moment: bool, draws: int, seed: int) -> dict[str, Any]:  # noqa: FBT001
    """Return of each change in how many draws the night was held back, or suspected, and by which sign."""
    random, night = np.random.default_rng(seed), read_night(folder)
    found: dict[str, dict[str, list[str]]] = {"faults": {}, "honest": {}}
    for draw in range(draws):
        whole = _at_one_moment(night, SUNDAY + draw % 7) if one_moment else night
        reference, tonight = (_take(whole, rows) for rows in _deal(len(night.moments), random))
        before = [{"log": reference.count()}]
        for kind, changes in (("faults", FAULTS), ("honest", HONEST)):
            for name, change in changes.items():
                changed = change(tonight, random)
                if kind == "faults" and len(changed.events) == len(tonight.events):
                    continue  # on a weekend nothing comes late
                signs = list(find_feed_signs({"log": changed.count()}, before))
                said = [f"{'' if one.is_certain else 'perhaps '}{one.about.split(': ')[1]}" for one in signs]
                found[kind].setdefault(name, []).append(" and ".join(said) or "nothing")
    figures = {kind: {name: _tally(one) for name, one in changes.items()} for kind, changes in found.items()}
    for kind, changes in figures.items():
        print(folder.name, "one moment" if one_moment else "as it is", kind, changes)
    return figures


def read_night(folder: Path) -> Night:
    """Return a set's records as one night."""
    data, log = pd.read_parquet(folder / "records.parquet"), pd.read_parquet(folder / "events.parquet")
    names = [str(name) for name in log if name not in {"record_id", "at", "type"}]
    kinds = {name: pd.api.types.is_numeric_dtype(log[name]) for name in names}
    table = EventTable(
        "log", "type", tuple(EventValue(name, "numeric" if kinds[name] else "categorical") for name in names)
    )
    events = log[["type", *names]].assign(
        record=pd.Index(data["record_id"]).get_indexer(pd.Index(log["record_id"])), at=_microseconds(log["at"])
    )
    return Night(_microseconds(data["cut_off"]), events[events["record"] >= 0], table)


def _at_one_moment(night: Night, day: int) -> Night:
    """Move every record, with its events, to the end of one day; nothing happens on Saturdays and Sundays."""
    moved = (day + 1) * DAY - 1 - night.moments
    at = night.events["at"].to_numpy() + moved[night.events["record"]]
    is_weekend = (at // DAY - SUNDAY + 1) % 7 < 2
    whole = replace(night, moments=night.moments + moved, events=night.events.assign(at=at))
    return whole.keep(~is_weekend)


def _deal(records: int, random: Random) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    order = random.permutation(records)
    return order[: records // 2], order[records // 2 :]


def _take(night: Night, rows: NDArray[np.int64]) -> Night:
    number = np.full(len(night.moments), -1)
    number[rows] = np.arange(len(rows))
    record = number[night.events["record"]]
    return replace(night, moments=night.moments[rows], events=night.events.assign(record=record)[record >= 0])


def _tally(said: list[str]) -> dict[str, int]:
    return {one: said.count(one) for one in sorted(set(said))}


def _microseconds(times: "pd.Series[Any]") -> NDArray[np.int64]:
    return times.to_numpy().astype("datetime64[us]").astype(np.int64)


if __name__ == "__main__":
    main()
