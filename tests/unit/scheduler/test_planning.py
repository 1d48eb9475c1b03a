"""How large the shards of a book are."""

import pytest

from db.sources import KeyRange, join_neighbours
from scheduler.planning import rows_per_shard


@pytest.mark.parametrize(
    ("records", "rows"),
    [(0, 10_000), (50_000, 10_000), (3_999_999, 10_000), (4_000_000, 20_000), (10_000_000, 50_000), (10**9, 60_000)],
)
def test_shards_grow_once_there_are_plenty(records: int, rows: int) -> None:
    assert rows_per_shard(records) == rows


def test_joined_ranges_hold_the_same_keys_and_records_without_a_key_stay_alone() -> None:
    ranges = [KeyRange(str(start) if start else None, str(start + 10), 10) for start in range(0, 50, 10)]
    ranges.append(KeyRange(None, None, 3, holds_missing_keys=True))
    joined = join_neighbours(ranges, 2)
    assert [(one.after, one.upto, one.expected) for one in joined[:-1]] == [
        (None, "20", 20),
        ("20", "40", 20),
        ("40", "50", 10),
    ]
    assert joined[-1] == ranges[-1]
    assert join_neighbours(ranges, 1) == ranges
