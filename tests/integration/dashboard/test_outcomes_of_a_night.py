"""The page of a scoring job says what became of its records, and whether its outcomes are used."""

from sqlalchemy import Engine

from tests.integration.api.server import RunningApi
from tests.integration.dashboard.window import opened
from tests.outcome_nights import load_file, open_book, score_night, truth


def test_outcomes_that_are_not_used_are_shown_with_their_reason(engine: Engine, api: RunningApi) -> None:
    open_book(engine)
    night = score_night(engine, "2026-01-31")
    assert "contradicting" not in opened(api).page(f"/jobs/{night}").text
    load_file(engine, night, 1 - truth(1), "2026-02-15")
    page = opened(api).page(f"/jobs/{night}").text
    assert "contradicting" in page
    assert "good and bad may be swapped" in page
    assert f"tidemark outcomes trust book --job {night}" in page, "in the events"
