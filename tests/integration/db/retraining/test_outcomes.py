"""Outcomes are stored once, judge the score that they belong to, and a correction counts as new."""

import pytest
from sqlalchemy import Engine

from db.connections.engine import reading
from db.ledger.job_lifecycle import list_jobs
from db.results.shard_results import complete_scored_shard
from db.retraining.outcome_fields import read_fields_of_night
from db.retraining.outcomes import count_new, load_outcomes, read_outcomes
from db.retraining.vintages import list_changed_nights, read_judged_scores
from db.schema.states import JobKind
from tests.building import BOOK, add_model, book_definition, claim, load_book, result_for, start_scoring

ROWS = [("1", 1, "2999-01-01"), ("2", 0, "2999-01-01"), ("3", 1, "2999-01-02")]


@pytest.fixture
def scored(engine: Engine) -> Engine:
    """A book of which one scoring job is done."""
    load_book(engine, [1, 2, 3])
    add_model(engine)
    start_scoring(engine)
    claimed = claim(engine)
    complete_scored_shard(engine, claimed, result_for(engine, claimed), worker="w1")
    return engine


def test_a_file_loaded_twice_changes_nothing(scored: Engine) -> None:
    first = load_outcomes(scored, BOOK, ROWS, who="test")
    before = read_outcomes(scored, BOOK)
    second = load_outcomes(scored, BOOK, ROWS, who="test")
    assert (first.loaded, second.loaded, second.unchanged, second.job_id) == (3, 0, 3, None)
    assert read_outcomes(scored, BOOK).equals(before)
    assert len(list_jobs(scored, kind=JobKind.MONITORING)) == 2  # of the night, and of the first load


def test_an_outcome_judges_the_newest_score_before_it(scored: Engine) -> None:
    load_outcomes(scored, BOOK, [*ROWS, ("1", 0, "1999-01-01")], who="test")
    (night,) = list_changed_nights(scored, book_definition())
    judged = read_judged_scores(scored, night.job_id)
    assert sorted(judged.outcome.tolist()) == [0, 1, 1]
    assert set(judged.probability.tolist()) == {0.25}
    fields = read_fields_of_night(scored, book_definition(), night.job_id, ("colour",))
    assert sorted(fields["tidemark_record_key"]) == sorted(judged.keys)
    assert set(fields["colour"]) <= {"red", "blue"}


def test_a_correction_replaces_the_outcome_and_counts_as_new(scored: Engine) -> None:
    load_outcomes(scored, BOOK, ROWS, who="test")
    newest = int(read_outcomes(scored, BOOK)["outcome_id"].max())
    corrected = load_outcomes(scored, BOOK, [("2", 1, "2999-01-01")], who="test")
    assert (corrected.loaded, corrected.changed) == (0, 1)
    assert int(read_outcomes(scored, BOOK)["outcome_id"].max()) > newest


def test_an_outcome_of_no_night_counts_as_new_at_once_and_one_of_a_night_when_it_was_measured(scored: Engine) -> None:
    load_outcomes(scored, BOOK, [*ROWS, ("99", 1, "2999-01-01")], who="test")
    with reading(scored) as connection:
        assert count_new(connection, BOOK, after_id=0) == (1, 1)


def test_an_outcome_of_an_unknown_record_is_counted_as_such(scored: Engine) -> None:
    assert load_outcomes(scored, BOOK, [("99", 1, "2999-01-01")], who="test").without_score == 1
