"""How large the shards of a book are."""

import pytest

from db.portfolios.definition import EventsDefinition, PortfolioDefinition
from db.sources.source_table import KeyRange, join_neighbours
from scheduler.loop.shard_planning import ranges_per_shard, values_per_record


@pytest.mark.parametrize(
    ("ranges", "shares"),
    [
        (0, []),
        (1, [1]),
        (5, [1, 1, 1, 1, 1]),
        (20, [5, 3, 3, 2, 1, 1, 1, 1, 1, 1, 1]),
        (1000, [5] * 196 + [5, 3, 3, 2, 1, 1, 1, 1, 1, 1, 1]),
    ],
)
def test_shards_are_large_first_and_small_at_the_end(ranges: int, shares: list[int]) -> None:
    assert ranges_per_shard(ranges, columns=23) == shares


@pytest.mark.parametrize(("columns", "most"), [(23, 5), (40, 5), (41, 4), (100, 2), (500, 1), (5000, 1)])
def test_shards_of_many_columns_are_smaller(columns: int, most: int) -> None:
    assert max(ranges_per_shard(1000, columns)) == most


def test_a_record_with_events_counts_for_more_values_and_one_without_columns_for_one() -> None:
    events = EventsDefinition("bookings", "bookings", "id", "at", type="kind")
    assert values_per_record(PortfolioDefinition("b", "b", "b", "id")) == 1
    assert values_per_record(PortfolioDefinition("b", "b", "b", "id", events=(events,))) == 150
    assert max(ranges_per_shard(1000, 150)) == 1


def test_joined_ranges_hold_the_same_keys_and_records_without_a_key_stay_alone() -> None:
    ranges = [KeyRange(str(start) if start else None, str(start + 10), 10) for start in range(0, 50, 10)]
    ranges.append(KeyRange(None, None, 3, holds_missing_keys=True))
    joined = join_neighbours(ranges, [2, 2, 1])
    assert [(one.after, one.upto, one.expected) for one in joined[:-1]] == [
        (None, "20", 20),
        ("20", "40", 20),
        ("40", "50", 10),
    ]
    assert joined[-1] == ranges[-1]
    assert join_neighbours(ranges, [1] * 5) == ranges
