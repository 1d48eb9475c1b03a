"""docs/how-to-events.md is true: its commands lead from two files to scores with reasons, and to the next night."""

import re
from pathlib import Path

import pandas as pd
import pytest

from scheduler.demo.bookings import simulate_booked_customers
from scheduler.demo.simulator import TRUE_OUTCOME, TRUE_PROBABILITY, area_under_curve
from tests.architecture.test_shown_commands import shown_commands
from tests.flow.installation import Installation

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to-events.md"
CUSTOMERS = 1_000


@pytest.mark.long
@pytest.mark.timeout(600)  # it trains once
def test_the_commands_of_the_page_lead_from_a_log_to_scores_with_reasons(laptop_with_tables: Installation) -> None:
    laptop = laptop_with_tables
    frame, log = simulate_booked_customers(CUSTOMERS, unlabelled_share=0.2)
    frame.drop(columns=[TRUE_OUTCOME, TRUE_PROBABILITY]).to_csv(laptop.folder / "customers.csv", index=False)
    log.to_csv(laptop.folder / "bookings.csv", index=False)
    log.head(5).to_csv(laptop.folder / "bookings_today.csv", index=False)
    for name in ("customers.csv", "bookings.csv"):
        first = (laptop.folder / name).read_text().splitlines()[:3]
        assert "\n".join(first) in PAGE.read_text(), f"the page shows other lines of {name}"

    said = [laptop.run(*_words(line)).stdout for line in shown_commands(PAGE)]

    shown = [line for line in PAGE.read_text().splitlines() if line.startswith(("Wrote ", "Loaded "))]
    assert len(shown) == 3
    assert [line for line in shown if line not in "".join(said)] == []
    scores = pd.read_csv(laptop.folder / "scores.csv", dtype={"record_key": "int64"})
    joined = frame.merge(scores, left_on="customer_id", right_on="record_key", validate="one_to_one")
    assert len(joined) == CUSTOMERS
    assert joined["reason_1"].str.contains("bookings").mean() > 0.5
    assert area_under_curve(joined[TRUE_OUTCOME].to_numpy(), joined["probability"].to_numpy()) > 0.6
    assert "it now holds" in said[-1]


def _words(line: str) -> list[str]:
    return [word.strip('"') for word in re.findall(r'"[^"]*"|\S+', line)]
