"""Each signature of a fault on counts alone: what is certain, what is a suspicion, and what is neither."""

from typing import Any, NamedTuple

import numpy as np
import pytest

from db.portfolios.monitoring_policy import MonitoringPolicy
from transformer.bundles.column_signs import SIGNS as SIGNS_OF_SHARDS
from transformer.bundles.column_signs import SIZES_A_DECADE as SIZES_OF_SHARDS
from transformer.bundles.column_signs import count_signs
from transformer.bundles.name_spellings import Spellings
from transformer.records.column_reading import RecordArrays
from worker.drift.column_drift import compare_fields
from worker.drift.pipeline_faults import SIGNS, find_signs
from worker.drift.row_faults import find_row_signs
from worker.drift.size_shift import SIZES_A_DECADE

RECORDS = 2000
RANDOM = np.random.default_rng(8)
AMOUNTS = RANDOM.lognormal(8, 0.8, RECORDS)
DEBTS = RANDOM.lognormal(6, 0.8, RECORDS)
KINDS = np.array(["car loan", "home loan", "credit line"], dtype=object)
NAMES = RANDOM.choice(KINDS, RECORDS, p=[0.5, 0.3, 0.2])
EDGES = np.quantile(AMOUNTS, [0.25, 0.5, 0.75])


def counts_of(amounts: np.ndarray = AMOUNTS, names: np.ndarray = NAMES, debts: np.ndarray = DEBTS) -> dict[str, Any]:
    """Count records as a shard does, on four bins of the amounts and one for each name."""
    arrays = RecordArrays({"amount": amounts, "debt": debts}, {"kind": names}, len(amounts))
    trained = {
        name: (float(values.min()), float(values.max())) for name, values in (("amount", AMOUNTS), ("debt", DEBTS))
    }
    fields: dict[str, Any] = {name: bins_of(arrays.numeric[name], *trained[name]) for name in trained}
    is_new = np.array([name not in KINDS for name in names])
    fields["kind"] = [0, int(is_new.sum()), 0, *(int((names == one).sum()) for one in KINDS)]
    fields[SIGNS] = count_signs(arrays, trained, {"kind": Spellings(tuple(KINDS))})
    return {"points": {"600": len(amounts)}, "fields": fields}


def bins_of(values: np.ndarray, lowest: float, highest: float) -> list[int]:
    known = values[~np.isnan(values)]
    inside = known[(known >= lowest) & (known <= highest)]
    bins = np.bincount(np.searchsorted(EDGES, inside), minlength=4).tolist()
    return [len(values) - len(known), len(known) - len(inside), *bins]


class Told(NamedTuple):
    """The sentences alone."""

    faults: list[str]
    suspicions: list[str]


NOTHING = Told([], [])


def signs_of(night: dict[str, Any], reference: dict[str, Any] | None = None) -> Told:
    before = counts_of() if reference is None else reference
    found = find_signs(night, before, None, compare_fields(before["fields"], night["fields"]), MonitoringPolicy())
    return Told(list(found.faults.values()), list(found.suspicions.values()))


def some(share: float) -> np.ndarray:
    return np.random.default_rng(3).random(RECORDS) < share


def test_shards_and_monitor_use_the_same_words() -> None:
    assert (SIGNS, SIZES_A_DECADE) == (SIGNS_OF_SHARDS, SIZES_OF_SHARDS)


def test_a_night_like_the_reference_has_no_sign() -> None:
    assert signs_of(counts_of()) == NOTHING


@pytest.mark.parametrize("factor", [1000.0, 100.0, 10.0, 0.1, 0.01, 0.001])
def test_another_unit_is_certain(factor: float) -> None:
    [text] = signs_of(counts_of(AMOUNTS * factor)).faults
    assert text.startswith("amount is about ")


@pytest.mark.parametrize("factor", [2.54, 3.28, 0.3])
def test_a_smaller_factor_in_every_quantile_is_a_suspicion(factor: float) -> None:
    found = signs_of(counts_of(AMOUNTS * factor))
    assert (found.faults, len(found.suspicions)) == ([], 1)


@pytest.mark.parametrize("factor", [1.0, 1.1, 1.331, 1.5, 0.8])
def test_inflation_is_no_sign(factor: float) -> None:
    assert signs_of(counts_of(AMOUNTS * factor)) == NOTHING


def test_higher_limits_are_no_sign() -> None:
    is_large = np.quantile(AMOUNTS, 0.8) < AMOUNTS
    assert signs_of(counts_of(np.where(is_large, AMOUNTS * 2, AMOUNTS))) == NOTHING


def test_a_part_in_another_unit_is_a_suspicion() -> None:
    found = signs_of(counts_of(np.where(some(0.3), AMOUNTS * 100, AMOUNTS)))
    assert found.faults == []
    assert "in another unit, by a factor of 100" in found.suspicions[0]


@pytest.mark.parametrize(
    ("amounts", "expected"),
    [
        (np.full(RECORDS, 0.0), "amount holds one value in 100.0%"),
        (np.full(RECORDS, AMOUNTS[0]), "amount holds one value in 100.0%"),
        (np.full(RECORDS, np.nan), "amount is missing in 100.0%"),
        (-AMOUNTS, "amount is below 0 in 100.0%"),
    ],
)
def test_an_empty_a_constant_and_a_negated_column_are_certain(amounts: np.ndarray, expected: str) -> None:
    assert expected in signs_of(counts_of(amounts)).faults[0]


@pytest.mark.parametrize(
    ("filling", "expected"),
    [
        (0.0, "amount is 0 in"),
        (-1.0, "a number such as -1"),
        (9999.0, "a number such as -1"),
        (np.nan, "is missing in"),
    ],
)
def test_a_third_filled_with_what_stands_for_nothing_is_a_suspicion(filling: float, expected: str) -> None:
    found = signs_of(counts_of(np.where(some(0.3), filling, AMOUNTS)))
    assert found.faults == []
    assert expected in "; ".join(found.suspicions)


@pytest.mark.parametrize("code", [0.0, -9.0, 999_999.0])
def test_missing_values_that_became_a_number_are_a_suspicion(code: float) -> None:
    with_gaps = counts_of(np.where(some(0.05), np.nan, AMOUNTS))
    found = signs_of(counts_of(np.where(some(0.05), code, AMOUNTS)), with_gaps)
    assert "where it was missing" in found.suspicions[0]


@pytest.mark.parametrize("share", [0.2, 1.0])
def test_another_spelling_is_certain(share: float) -> None:
    respelled = np.where(some(share), np.array([name.upper() for name in NAMES], dtype=object), NAMES)
    assert "kind holds known names in another spelling" in signs_of(counts_of(names=respelled)).faults[0]


def test_another_spelling_of_few_is_a_suspicion() -> None:
    respelled = np.where(some(0.05), "Car-Loan", NAMES)
    assert "in another spelling" in signs_of(counts_of(names=respelled)).suspicions[0]


def test_a_column_without_any_known_name_is_certain() -> None:
    coded = np.array([str(np.flatnonzero(name == KINDS)[0]) for name in NAMES], dtype=object)
    assert "numbers where there were names" in signs_of(counts_of(names=coded)).faults[0]


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_a_new_category_is_no_sign(share: float) -> None:
    assert signs_of(counts_of(names=np.where(some(share), "leasing", NAMES))) == NOTHING


def test_a_renamed_category_and_two_exchanged_ones_are_suspicions() -> None:
    renamed = np.where(NAMES == "home loan", "mortgage", NAMES)
    assert "renamed?" in signs_of(counts_of(names=renamed)).suspicions[0]
    exchanged = np.where(NAMES == "car loan", "credit line", np.where(NAMES == "credit line", "car loan", NAMES))
    assert "two names that have exchanged their shares" in signs_of(counts_of(names=exchanged)).suspicions[0]


def test_exchanged_and_copied_columns_are_suspicions() -> None:
    exchanged = "; ".join(signs_of(counts_of(DEBTS, debts=AMOUNTS)).suspicions)
    assert "amount looks like debt in the reference" in exchanged
    assert "debt looks like amount in the reference" in exchanged
    copied = signs_of(counts_of(debts=AMOUNTS.copy())).suspicions
    assert "amount and debt hold the same in every record, and did not in the reference" in copied


def test_a_reference_of_an_older_release_has_no_signs_and_does_not_fail() -> None:
    older = {"points": {}, "fields": {name: bins for name, bins in counts_of()["fields"].items() if name != SIGNS}}
    assert signs_of(counts_of(AMOUNTS * 100), older).faults == []
    assert signs_of(counts_of(np.full(RECORDS, np.nan)), older).faults != []
    assert signs_of(older, older) == NOTHING


def night(records: int, known: int, **more: Any) -> dict[str, Any]:
    return {"points": {"600": records}, "migration": {"A": {"A": known}}} | more


@pytest.mark.parametrize(
    ("tonight", "expected"),
    [
        (night(1000, 980), ""),
        (night(1300, 1000), ""),
        (night(850, 850), ""),
        (night(500, 500), "rows may be missing: 500 records, 1,000 the night before"),
        (night(2000, 1000), "keys may be doubled"),
        (night(1000, 0), "keys may have another form"),
    ],
)
def test_rows_that_went_and_keys_that_changed_are_suspicions(tonight: dict[str, Any], expected: str) -> None:
    found = [one.text for one in find_row_signs(tonight, night(1000, 990), least_records=200)]
    assert "; ".join(found).startswith(expected)
    assert bool(found) is bool(expected)


def test_a_book_of_new_records_every_night_says_nothing_about_its_rows() -> None:
    assert find_row_signs(night(300, 0), night(1000, 3), least_records=200) == []


def test_repeated_keys_and_text_among_numbers_are_suspicions() -> None:
    rejects = {"duplicate_key": {"id": 50}, "not_a_number": {"amount": 80, "debt": 2}}
    found = find_row_signs(night(900, 0, fields={SIGNS: {"rejects": rejects}}), None, least_records=200)
    assert [one.text for one in found] == [
        "keys are repeated in 50 of 900 records",
        "amount holds text where numbers were, in 80 of 900 records",
    ]
