"""`tidemark demo --events` on the embedded defaults."""

import pytest

from tests.flow.installation import Installation


@pytest.mark.long
@pytest.mark.timeout(600)  # it trains once
def test_the_demo_with_bookings_shows_trees_our_model_and_the_best_possible(laptop_with_tables: Installation) -> None:
    shown = laptop_with_tables.json("demo", "--events", "--customers", "2000")
    assert (shown["customers"], shown["scored"], shown["rejected"]) == (2_000, 2_000, 0)
    assert shown["roc_auc_of_trees_on_usual_aggregates"] < shown["roc_auc"] < shown["best_possible_roc_auc"]
