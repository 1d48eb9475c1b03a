"""By what a broken column is told from one that moved: sizes, spellings, placeholders, equal columns. All add up."""

import numpy as np
import pytest

from db.ledger.shard_histograms import add_counts
from transformer.bundles.column_signs import count_signs
from transformer.bundles.name_spellings import Spellings
from transformer.records.column_reading import RecordArrays
from transformer.records.holders import LEAST_HOLDERS

RANDOM = np.random.default_rng(4)
AMOUNTS = RANDOM.lognormal(8, 1, 1000)
COLOURS = RANDOM.choice(np.array(["red", "Dark Blue", "grün"], dtype=object), 1000)
TRAINED = {"amount": (100.0, 10_000.0), "other": (0.0, 1.0)}


def arrays(amounts: np.ndarray, other: np.ndarray, colours: np.ndarray) -> RecordArrays:
    return RecordArrays({"amount": amounts, "other": other}, {"colour": colours}, len(amounts))


def signs_of(amounts: np.ndarray = AMOUNTS, other: np.ndarray = AMOUNTS / 3, colours: np.ndarray = COLOURS) -> dict:
    spellings = {"colour": Spellings(("red", "Dark Blue", "grün"))}
    return count_signs(arrays(amounts, other, colours), TRAINED, spellings)


def test_every_number_has_a_size_and_zero_and_signs_are_told_apart() -> None:
    values = np.concatenate([np.full(300, 0.0), np.full(300, 150.0), np.full(400, -150.0)])
    assert signs_of(values)["columns"]["amount"]["sizes"] == {"-17": 400, "0": 300, "+17": 300}


def test_no_size_is_that_of_a_few_records() -> None:
    sizes = signs_of(np.append(AMOUNTS[:-1], 3e9))["columns"]["amount"]["sizes"]
    assert sum(sizes.values()) == 1000
    assert min(sizes.values()) >= LEAST_HOLDERS
    assert "+75" not in sizes


def test_a_part_of_few_records_has_no_signs() -> None:
    few = slice(0, LEAST_HOLDERS - 1)
    assert signs_of(AMOUNTS[few], AMOUNTS[few], COLOURS[few]) == {}


def test_signs_of_parts_add_up() -> None:
    halves = [signs_of(AMOUNTS[half], AMOUNTS[half] / 3, COLOURS[half]) for half in (slice(0, 500), slice(500, 1000))]
    total = add_counts(halves[0], halves[1])
    assert total["records"] == 1000
    assert total["columns"]["amount"]["above"] == signs_of()["columns"]["amount"]["above"]
    assert sum(total["columns"]["amount"]["sizes"].values()) == 1000


def test_placeholders_and_a_constant_are_counted() -> None:
    filled = np.where(np.arange(1000) < 600, 9999.0, AMOUNTS)
    column = signs_of(filled)["columns"]["amount"]
    assert (column["placeholders"], column["commonest"]) == (600, 600)


def test_two_columns_that_hold_the_same_are_told() -> None:
    assert signs_of(other=AMOUNTS.copy())["equal"] == {"amount": {"other": [1000, 1000]}}
    assert signs_of()["equal"] == {}
    assert signs_of(np.full(1000, 5.0), np.full(1000, 5.0))["equal"] == {}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("red", None),
        ("RED", "respelled"),
        (" dark_blue.", "respelled"),
        ("grun", "respelled"),
        ("grÃ¼n", "respelled"),
        ("Dark", "cut"),
        ("17", "number"),
        ("orange", None),
        ("da", None),
    ],
)
def test_a_known_name_in_another_spelling_is_no_new_name(name: str, kind: str | None) -> None:
    assert Spellings(("red", "Dark Blue", "grün")).kind_of(name) == kind


def test_a_code_with_other_zeros_in_front_is_the_same_code_and_no_number_among_names() -> None:
    known = Spellings(("7", "12"))
    assert [known.kind_of(name) for name in ("007", "13")] == ["respelled", None]
