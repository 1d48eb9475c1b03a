"""What a shard counts: the points of each value of a segment's column, the missing one too."""

import pandas as pd
import pytest

from worker.scoring.monitor_counts import MISSING_VALUE, MOST_VALUES, TOO_MANY_VALUES, count_segments


@pytest.mark.parametrize("values", [["a", "b", None, "a"], [1.0, 2.0, None, 1.0], [1, 2, MISSING_VALUE, 1]])
def test_each_value_has_its_points_and_missing_is_one(values: list[object]) -> None:
    records = pd.DataFrame({"region": pd.Series(values)})
    first, second = ("a", "b") if values[0] == "a" else ("1", "2")
    assert count_segments(records, [600, 610, 620, 600], ("region",)) == {
        "region": {
            first: {"points": {"600": 2}},
            second: {"points": {"610": 1}},
            MISSING_VALUE: {"points": {"620": 1}},
        }
    }


def test_a_text_that_reads_as_missing_is_counted_with_the_missing() -> None:
    records = pd.DataFrame({"region": [MISSING_VALUE, None]})
    assert count_segments(records, [600, 600], ("region",)) == {"region": {MISSING_VALUE: {"points": {"600": 2}}}}


def test_a_column_of_many_values_is_counted_as_one() -> None:
    records = pd.DataFrame({"region": [f"r{place}" for place in range(MOST_VALUES + 1)]})
    found = count_segments(records, [600] * len(records), ("region",))
    assert found == {"region": {TOO_MANY_VALUES: {"points": {"600": MOST_VALUES + 1}}}}


def test_no_records_have_no_segments() -> None:
    assert count_segments(pd.DataFrame({"region": []}), [], ("region",)) == {"region": {}}
