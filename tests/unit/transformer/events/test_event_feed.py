"""The counts of a feed: of a fixed size, added up over shards, and equal to a plain count."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd

from db.ledger.shard_histograms import add_counts
from transformer.events.event_columns import DAY, EventColumns
from transformer.events.event_feed import DAYS, Counts, count_feed
from transformer.records.event_schema import EventTable, EventValue

NOW = datetime(2026, 11, 30, tzinfo=UTC)
TODAY = int(NOW.timestamp() * 1e6)
TABLE = EventTable("log", "type", (EventValue("amount", "numeric"),))
RECORDS, EVENTS = 60, 3_000


def _draw(seed: int = 1) -> pd.DataFrame:
    """Events of few times, types and amounts, some of them missing: many are the same."""
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "record": np.sort(random.integers(0, RECORDS, EVENTS)),
            "at": TODAY - random.integers(0, 40, EVENTS) * DAY,
            "type": random.choice(["a", "b", None], EVENTS),
            "amount": random.choice([1.0, 2.0, np.nan], EVENTS),
        }
    )


def _count(events: pd.DataFrame, moments: np.ndarray | None = None) -> Counts:
    known = np.full(RECORDS, TODAY) if moments is None else moments
    frame = events.reset_index(drop=True)
    columns = EventColumns.of(frame, frame["at"].to_numpy(), frame["record"].to_numpy(), known, TABLE)
    return count_feed(columns, known, NOW)


def test_a_feed_is_counted_as_a_plain_count_does() -> None:
    events = _draw()
    groups = events.groupby(["record", "at", "type", "amount"], dropna=False).size()
    day = np.minimum((TODAY - groups.index.get_level_values("at").to_numpy()) // DAY, DAYS)
    expected = {
        "events": np.bincount(day, weights=groups, minlength=DAYS + 1).astype(int).tolist(),
        "distinct": np.bincount(day, minlength=DAYS + 1).tolist(),
        "odd": np.bincount(day, weights=groups % 2, minlength=DAYS + 1).astype(int).tolist(),
    }
    found = _count(events)
    assert {name: found[name] for name in expected} == expected
    assert 0 < sum(found["odd"]) < sum(found["distinct"]) < sum(found["events"])


def test_loaded_twice_every_event_is_there_an_even_number_of_times() -> None:
    events = _draw()
    twice = _count(pd.concat([events, events]))
    assert sum(twice["odd"]) == 0
    assert twice["distinct"] == _count(events)["distinct"]


def test_the_counts_of_two_shards_add_up() -> None:
    one, other = _draw(1), _draw(2)
    together = pd.concat([one, other.assign(record=other["record"] + RECORDS)]).reset_index(drop=True)
    moments = np.full(2 * RECORDS, TODAY)
    columns = EventColumns.of(together, together["at"].to_numpy(), together["record"].to_numpy(), moments, TABLE)
    assert add_counts(_count(one), _count(other)) == count_feed(columns, moments, NOW)


def test_a_moment_in_the_future_makes_no_event_older() -> None:
    events = _draw()
    assert _count(events, np.full(RECORDS, TODAY + DAY - 1)) == _count(events)


def test_a_record_without_a_moment_counts_for_no_weekday() -> None:
    moments = np.where(np.arange(RECORDS) < 10, np.iinfo(np.int64).min, TODAY)
    assert sorted(_count(_draw(), moments)["weekdays"]) == [0] * 6 + [RECORDS - 10]


def test_of_a_few_records_nothing_is_counted() -> None:
    frame = _draw().query("record < 5").reset_index(drop=True)
    moments = np.full(5, TODAY)
    columns = EventColumns.of(frame, frame["at"].to_numpy(), frame["record"].to_numpy(), moments, TABLE)
    assert count_feed(columns, moments, NOW) == {}
