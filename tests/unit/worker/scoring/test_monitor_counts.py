"""What a shard counts: the points of each value of a segment's column, the missing one too."""

import numpy as np
import pandas as pd
import pytest

from db.results.shard_results import Reject
from transformer.bundles.column_signs import SIGNS
from transformer.bundles.field_bins import FieldBins, NumericBins
from transformer.records.column_reading import RecordArrays
from worker.scoring.monitor_counts import (
    MISSING_VALUE,
    MOST_VALUES,
    TOO_MANY_VALUES,
    count_fields,
    count_segments,
)


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


def test_rejects_are_counted_by_reason_and_column_and_keep_no_value() -> None:
    bins = FieldBins({"amount": NumericBins((100.0,), 0.0, 500.0)}, {})
    arrays = RecordArrays({"amount": np.arange(300.0)}, {}, 300)
    rejects = [Reject(row, f"k{row}", "amount", "not_a_number", "expected a number, got '1 200'") for row in (3, 4)]
    rejects.append(Reject(5, "k4", "id", "duplicate_key", "an earlier record has the same key"))
    counts = count_fields(bins, arrays, rejects)
    assert counts["amount"] == [0, 0, 101, 199]
    assert counts[SIGNS]["rejects"] == {"not_a_number": {"amount": 2}, "duplicate_key": {"id": 1}}
