"""Faults are told from changes of business in a small generated book, by the product's own counts and rules."""

from typing import Any

import pytest

from benchmarks.injected_changes import measure
from benchmarks.night_changes.books import make_generated
from benchmarks.night_changes.faults import FAULTS
from benchmarks.night_changes.honest_changes import HONEST


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    return measure(make_generated())


def test_forty_faults_and_forty_honest_changes_are_made() -> None:
    assert (len(FAULTS), len(HONEST)) == (40, 40)
    assert len({one.name for one in (*FAULTS, *HONEST)}) == 80


def test_a_night_without_a_change_is_stable(measured: dict[str, Any]) -> None:
    assert measured["quiet"] == {"verdict": "stable", "reasons": []}


def test_faults_are_held_back_or_suspected_by_name(measured: dict[str, Any]) -> None:
    assert measured["faults_right"] >= 38, measured["wrong"]


def test_honest_changes_are_not_held_back_and_seldom_suspected(measured: dict[str, Any]) -> None:
    assert measured["honest_right"] >= 38, measured["wrong"]
    assert measured["honest_suspected"] <= 4
