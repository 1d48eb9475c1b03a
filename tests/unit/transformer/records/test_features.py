"""One transform for training and scoring: where values lie, what is unknown, what cannot be read."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.unit.transformer.books import SCHEMA, make_book
from transformer.errors import SchemaError
from transformer.records.binning import place
from transformer.records.column_reading import read_columns
from transformer.records.features import (
    FIRST_KNOWN_ID,
    MISSING_ID,
    UNKNOWN_ID,
    FeatureTransform,
    fit_categories,
    fit_edges,
)
from transformer.records.schema import Field, RecordSchema

ONE_NUMBER = RecordSchema((Field("x", "numeric", (-9.0, "none")),), ())
ONE_NAME = RecordSchema((Field("x", "categorical", ("?",)),), ())


def read_numbers(*values: object) -> tuple[NDArray[np.float64], list[tuple[int, str, str]]]:
    arrays, problems = read_columns(pd.DataFrame({"x": pd.Series(values, dtype="object")}), ONE_NUMBER)
    return arrays.numeric["x"], [(one.row, one.reason, one.value) for one in problems]


def read_names(*values: object) -> list[object]:
    arrays, _ = read_columns(pd.DataFrame({"x": pd.Series(values, dtype="object")}), ONE_NAME)
    return arrays.categorical["x"].tolist()


def test_numbers_may_stand_as_text_and_codes_are_missing() -> None:
    values, problems = read_numbers(1, "2.5", " 3 ", None, "", -9, "-9", "none", float("nan"))
    np.testing.assert_array_equal(values, [1, 2.5, 3] + [np.nan] * 6)
    assert problems == []


def test_every_code_is_a_kind_of_missing_of_its_own() -> None:
    frame = pd.DataFrame({"x": pd.Series([1, None, -9, "-9", "none", "2"], dtype="object")})
    arrays, _ = read_columns(frame, ONE_NUMBER)
    assert arrays.kinds["x"].tolist() == [0, 1, 2, 2, 3, 0]
    assert FeatureTransform.fit(arrays, ONE_NUMBER).transform(arrays)["missing"][:, 0].tolist() == [0, 1, 2, 2, 3, 0]


def test_text_and_infinity_are_problems_that_show_what_stood_there() -> None:
    values, problems = read_numbers(1, "old", float("-inf"), "inf", 10**400)
    assert np.isnan(values[1:]).all()
    assert problems == [
        (1, "not_a_number", "old"),
        (2, "infinite", "-inf"),
        (3, "infinite", "inf"),
        (4, "infinite", "inf"),
    ]


def test_a_long_text_is_cut_in_the_problem() -> None:
    assert read_numbers("x" * 500)[1] == [(0, "not_a_number", "x" * 80)]


def test_names_are_the_same_however_a_file_wrote_them() -> None:
    assert read_names(1, 1.0, "1", "1.0", " 1 ", np.int64(1), np.True_) == ["1"] * 7
    assert read_names("a b", "1.5", None, "", "?") == ["a b", "1.5", None, None, None]


def test_a_missing_column_names_the_nearest() -> None:
    with pytest.raises(SchemaError, match="x_") as caught:
        read_columns(pd.DataFrame({"x_": [1]}), ONE_NUMBER)
    assert "x" in str(caught.value)


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=60))
def test_positions_keep_the_order_of_numbers_and_stay_within_the_edges(values: list[float]) -> None:
    frame = pd.DataFrame({"x": sorted(values)})
    arrays, _ = read_columns(frame, ONE_NUMBER)
    transform = FeatureTransform.fit(arrays, ONE_NUMBER)
    inputs = transform.transform(arrays)
    positions = inputs["positions"][inputs["missing"] == 0]
    assert (np.diff(positions) >= 0).all()
    assert ((positions >= 0) & (positions <= len(transform.edges["x"]) - 1)).all()


@given(st.lists(st.floats(-1e9, 1e9), max_size=60), st.integers(2, 20))
def test_edges_increase_and_are_no_more_than_asked_for(values: list[float], bins: int) -> None:
    edges = fit_edges(np.array(values, dtype=np.float64), bins)
    assert 2 <= len(edges) <= bins + 2
    assert (np.diff(edges) > 0).all()


def test_where_all_values_differ_every_bin_holds_about_as_many_rows() -> None:
    edges = fit_edges(np.random.default_rng(1).lognormal(size=10_000))
    counts, _ = np.histogram(np.random.default_rng(2).lognormal(size=10_000), edges)
    assert len(edges) == 17
    assert counts.min() > 300


def test_a_value_that_most_records_share_does_not_take_all_edges() -> None:
    counts = np.concatenate([np.zeros(950), np.arange(50.0)])
    assert len(fit_edges(counts)) >= 8


def test_rare_names_and_new_names_are_unknown_and_none_is_missing() -> None:
    assert fit_categories(np.array(["a"] * 900 + ["b"] * 99 + ["c"], dtype=object)) == ("a", "b")
    transform = FeatureTransform(ONE_NAME, {}, {"x": ("a", "b")})
    arrays, _ = read_columns(pd.DataFrame({"x": ["a", "b", "c", None]}), ONE_NAME)
    ids = transform.transform(arrays)["categories"][:, 0].tolist()
    assert ids == [FIRST_KNOWN_ID, FIRST_KNOWN_ID + 1, UNKNOWN_ID, MISSING_ID]


def test_a_transform_comes_back_from_its_document_to_the_bit() -> None:
    frame, _, _ = make_book(300)
    arrays, _ = read_columns(frame, SCHEMA)
    transform = FeatureTransform.fit(arrays, SCHEMA)
    back = FeatureTransform.from_document(json.loads(json.dumps(transform.to_document())))
    before, after = transform.transform(arrays), back.transform(arrays)
    assert back.schema == SCHEMA
    assert sorted(before) == sorted(after)
    for name, values in before.items():
        np.testing.assert_array_equal(values, after[name])


def test_histories_become_periods_oldest_first() -> None:
    frame, _, _ = make_book(300)
    frame["delay_3"] = 100.0
    arrays, _ = read_columns(frame, SCHEMA)
    inputs = FeatureTransform.fit(arrays, SCHEMA).transform(arrays)
    assert inputs["history_positions"].shape == (300, 4, 1)
    assert inputs["history_categories"].shape == (300, 4, 1)
    assert (inputs["history_positions"][:, 3, 0] == inputs["history_positions"].max()).all()


@pytest.mark.parametrize("edges", [[0, 1], [-3, -1.5, -1.4999999, 0.1, 7, 1e9], [0.1 * step for step in range(17)]])
def test_a_value_is_placed_as_numpy_interpolates(edges: list[float]) -> None:
    ends, random = np.array(edges, np.float64), np.random.default_rng(0).uniform(-5, 9, 5000)
    values = np.concatenate([ends, np.nextafter(ends, 9e9), np.nextafter(ends, -9e9), random, [np.nan]])
    kinds = np.isnan(values).astype(np.int8)
    positions, missing = (np.zeros((len(values), 3), np.float32) for _ in range(2))
    place(values, kinds, ends, 1, positions, missing)
    expected = np.nan_to_num(np.interp(values, ends, np.arange(len(ends)))).astype(np.float32)
    np.testing.assert_array_equal(positions, np.stack([expected * 0, expected, expected * 0], axis=1))
    np.testing.assert_array_equal(missing[:, 1], kinds)
