"""Outcomes of a night that is too young are neither good nor bad: the bad ones come first."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine

from db.connections.engine import reading
from db.errors import StateConflictError
from db.portfolios.catalog import save_portfolio
from db.portfolios.retraining_policy import RetrainingPolicy
from db.retraining.outcome_acceptance import trust_outcomes
from db.retraining.outcomes import count_new, load_outcomes
from db.retraining.realised_nights import list_realised_nights, population_of
from db.retraining.vintages import find_champion_vintages
from db.schema.states import Trust
from db.sources.source_table import RECORD_KEY
from tests.building import BOOK, MODEL, book_definition
from tests.outcome_nights import KEYS, RECORDS, load_file, open_book, score_night, truth, vintage_of
from worker.learning.outcome_labels import join_outcomes

POLICY = RetrainingPolicy(outcome_after=90)


@pytest.fixture
def book(engine: Engine) -> Engine:
    """A book whose outcomes are final after 90 days."""
    open_book(engine, retraining=POLICY)
    return engine


def count(engine: Engine) -> tuple[int, int]:
    with reading(engine) as connection:
        return count_new(connection, BOOK, after_id=0)


def labels(engine: Engine) -> np.ndarray:
    definition, records = book_definition(retraining=POLICY), pd.DataFrame({RECORD_KEY: KEYS})
    return join_outcomes(engine, definition, records, np.zeros(RECORDS)).target


def test_the_early_bad_ones_of_a_young_night_are_censored_until_it_is_old_enough(book: Engine) -> None:
    night, right = score_night(book, "2026-01-31"), truth(1)
    bad = [key for key, value in zip(KEYS, right, strict=True) if value]
    load_file(book, night, np.ones(len(bad)), "2026-02-15", keys=bad)
    assert count(book) == (0, 0)
    assert np.isnan(labels(book)).sum() == len(bad), "not even the source's target counts"
    vintage = vintage_of(book, night)
    assert (vintage.outcomes, vintage.trust, vintage.figures["censored"]) == (0, None, len(bad))
    with reading(book) as connection:
        assert find_champion_vintages(connection, BOOK, MODEL) == []
    with pytest.raises(StateConflictError, match="not final"):
        trust_outcomes(book, BOOK, night, is_accepted=True, who="Ada", why="")

    good = [key for key in KEYS if key not in bad]
    load_file(book, night, np.zeros(len(good)), "2026-05-01", keys=good)
    assert (vintage_of(book, night).outcomes, vintage_of(book, night).trust) == (RECORDS, Trust.TRUSTED)
    assert count(book) == (RECORDS, right.sum())
    assert labels(book).tolist() == right.tolist()


def test_what_has_matured_counts_as_new_to_a_model_that_was_trained_meanwhile(book: Engine) -> None:
    young = score_night(book, "2026-02-28")
    load_file(book, young, truth(1), "2026-03-15")
    old = score_night(book, "2026-01-31")
    load_file(book, old, truth(2), "2026-05-15")
    with reading(book) as connection:
        learned = max(one.newest_id or 0 for one in find_champion_vintages(connection, BOOK, MODEL))
    load_file(book, old, truth(2)[:1], "2026-06-15", keys=KEYS[:1])  # the calendar goes on
    assert vintage_of(book, young).is_used
    with reading(book) as connection:
        assert count_new(connection, BOOK, after_id=learned)[0] == RECORDS + 1


def test_a_rule_that_is_made_later_counts_at_once(book: Engine) -> None:
    save_portfolio(book, book_definition(), who="test")
    night = score_night(book, "2026-01-31")
    load_file(book, night, truth(1), "2026-02-15")
    assert count(book)[0] == RECORDS
    save_portfolio(book, book_definition(retraining=POLICY), who="test")
    assert count(book) == (0, 0)


def test_a_label_without_a_night_is_as_old_as_the_date_of_its_record(book: Engine) -> None:
    score_night(book, "2026-06-30")
    load_outcomes(book, BOOK, [("2", 1, "2026-06-29")], who="test")
    definition = replace(book_definition(retraining=POLICY), as_of="day")
    days = ["2026-01-31", "2026-05-31", "2026-06-15", None]
    records = pd.DataFrame({RECORD_KEY: KEYS[:4], "day": days})
    found = join_outcomes(book, definition, records, np.zeros(4)).target
    assert np.isnan(found).tolist() == [False, True, True, False]


def test_expected_and_realised_figures_stand_side_by_side_with_their_coverage(book: Engine) -> None:
    save_portfolio(book, book_definition(), who="test")
    night = score_night(book, "2026-01-31")
    load_file(book, night, truth(1)[:300], "2026-02-15", keys=KEYS[:300])
    (found,) = list_realised_nights(book, BOOK)
    document = found.to_document()
    assert (document["night"], document["scored"], document["coverage"]) == ("2026-01-31", RECORDS, 0.5)
    assert document["error"]["roc_auc"] == pytest.approx(
        document["realised"]["roc_auc"] - document["expected"]["roc_auc"]
    )
    with reading(book) as connection:
        population = population_of(connection, BOOK, [night])
    assert (population.scored, population.with_outcome, population.share) == (RECORDS, 300, 0.5)
    assert population.sentence.startswith("judged by the 300 records with an outcome, 50% of those that were scored")
