"""Outcomes that contradict the scores are neither learned from nor judged by, until they are corrected or accepted."""

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine, text

from db.connections.engine import reading, writing
from db.errors import NotFoundError, StateConflictError
from db.events.event_log import list_events
from db.ledger.job_lifecycle import get_job
from db.retraining.outcome_acceptance import trust_outcomes
from db.retraining.outcomes import count_new, read_outcomes
from db.retraining.vintages import find_champion_vintages
from db.schema.states import JobTask, Trust
from db.sources.source_table import RECORD_KEY
from tests.building import BOOK, MODEL, book_definition
from tests.outcome_nights import (
    HARDER,
    KEYS,
    RECORDS,
    load_file,
    open_book,
    score_night,
    shuffled,
    truth,
    vintage_of,
    work_off,
)
from worker.learning.outcome_labels import join_outcomes


@pytest.fixture
def book(engine: Engine) -> Engine:
    """A book with one night whose outcomes are as its scores say."""
    open_book(engine)
    load_file(engine, score_night(engine, "2026-01-31"), truth(1), "2026-02-15")
    return engine


def labels_of(engine: Engine) -> np.ndarray:
    records = pd.DataFrame({RECORD_KEY: KEYS})
    return join_outcomes(engine, book_definition(), records, np.full(RECORDS, np.nan)).target


def new_outcomes(engine: Engine, after_id: int = 0) -> tuple[int, int]:
    with reading(engine) as connection:
        return count_new(connection, BOOK, after_id=after_id)


def newest_id(engine: Engine) -> int:
    return int(read_outcomes(engine, BOOK)["outcome_id"].max())


def judging_jobs(engine: Engine) -> list[int]:
    with reading(engine) as connection:
        return [one.job_id for one in find_champion_vintages(connection, BOOK, MODEL)]


def events_of(engine: Engine, job_id: int) -> dict[str, str]:
    return {one.event: one.why for one in list_events(engine, job_id) if one.event.startswith("outcomes.")}


WRONG = {"swapped": lambda right: 1 - right, "shifted": shuffled}


@pytest.mark.parametrize("kind", sorted(WRONG))
def test_a_wrong_file_is_not_used_until_it_is_corrected(book: Engine, kind: str) -> None:
    right, before = truth(2), newest_id(book)
    night = score_night(book, "2026-02-28")
    load_file(book, night, WRONG[kind](right), "2026-03-15")

    assert vintage_of(book, night).trust is Trust.CONTRADICTING
    assert new_outcomes(book, before) == (0, 0)
    assert night not in judging_jobs(book)
    assert labels_of(book).tolist() == truth(1).tolist(), "the outcomes of the night before remain"
    assert f"--job {night}" in events_of(book, night)["outcomes.distrusted"]

    wrong_until = newest_id(book)
    load_file(book, night, right, "2026-03-15")
    assert vintage_of(book, night).trust is Trust.TRUSTED
    assert new_outcomes(book, wrong_until) == (RECORDS, right.sum()), "a model of meanwhile has not seen them"
    assert night in judging_jobs(book)
    assert labels_of(book).tolist() == right.tolist()
    assert "outcomes.trusted" in events_of(book, night)


def test_outcomes_that_are_shuffled_again_are_judged_again_though_their_counts_stay(book: Engine) -> None:
    night, right = score_night(book, "2026-02-28"), truth(2)
    load_file(book, night, right, "2026-03-15")
    assert vintage_of(book, night).trust is Trust.TRUSTED
    load_file(book, night, shuffled(right), "2026-03-15")
    assert vintage_of(book, night).bad == right.sum()
    assert vintage_of(book, night).trust is Trust.CONTRADICTING


def test_last_months_file_under_new_dates_is_not_used(book: Engine) -> None:
    night = score_night(book, "2026-02-28")
    load_file(book, night, truth(1), "2026-03-15")
    found = vintage_of(book, night)
    assert found.trust is Trust.CONTRADICTING
    assert "under other dates" in (found.trust_reason or "")


def test_a_surprising_night_is_used_once_another_file_confirms_it(book: Engine) -> None:
    """The world has changed: more than twice as many are bad as the scores say."""
    before = newest_id(book)
    first, second = score_night(book, "2026-02-28"), score_night(book, "2026-03-31")
    load_file(book, first, truth(2, HARDER), "2026-03-15")
    assert vintage_of(book, first).trust is Trust.SURPRISING
    assert new_outcomes(book, before) == (0, 0)
    load_file(book, second, truth(3, HARDER), "2026-04-15")
    assert [vintage_of(book, one).trust for one in (first, second)] == [Trust.TRUSTED, Trust.TRUSTED]
    assert new_outcomes(book, before)[0] == 2 * RECORDS
    assert f"job {second}" in (vintage_of(book, first).trust_reason or "")
    third = score_night(book, "2026-04-30")
    load_file(book, third, truth(4, HARDER), "2026-05-15")
    assert vintage_of(book, third).trust is Trust.TRUSTED, "the new level has become usual"


def test_a_file_that_is_wrong_for_one_colour_waits_until_another_file_says_the_same(book: Engine) -> None:
    """Every second record is red; the outcomes of the red ones are all bad."""
    is_red = np.arange(RECORDS) % 2 == 0
    first, second = score_night(book, "2026-02-28"), score_night(book, "2026-03-31")
    load_file(book, first, np.where(is_red, 1, truth(2)), "2026-03-15")
    found = vintage_of(book, first)
    assert found.trust is Trust.SURPRISING
    assert "colour is red" in (found.trust_reason or "")
    load_file(book, second, np.where(is_red, 1, truth(3)), "2026-04-15")
    assert [vintage_of(book, one).trust for one in (first, second)] == [Trust.TRUSTED, Trust.TRUSTED]
    third = score_night(book, "2026-04-30")
    load_file(book, third, np.where(is_red, 1, truth(4)), "2026-05-15")
    assert vintage_of(book, third).trust is Trust.TRUSTED, "it has become usual"


def test_without_the_records_in_the_source_a_night_is_judged_by_its_scores_alone(book: Engine) -> None:
    night = score_night(book, "2026-02-28")
    with writing(book) as connection:
        connection.execute(text(f"DROP TABLE {BOOK}"))
    load_file(book, night, truth(2), "2026-03-15")
    assert vintage_of(book, night).trust is Trust.TRUSTED


def test_a_confirmed_night_stays_so_while_outcomes_are_only_added(book: Engine) -> None:
    first, second = score_night(book, "2026-02-28"), score_night(book, "2026-03-31")
    part, rest = truth(2, HARDER)[::2], truth(2, HARDER)[1::2]
    load_file(book, first, part, "2026-03-15", keys=KEYS[::2])
    load_file(book, second, truth(3, HARDER), "2026-04-15")
    load_file(book, first, rest, "2026-03-16", keys=KEYS[1::2])
    assert vintage_of(book, first).outcomes == RECORDS
    assert vintage_of(book, first).trust is Trust.TRUSTED


def test_one_command_accepts_a_crash_and_the_nights_after_it(book: Engine) -> None:
    """The scores no longer say anything: it looks like a file with shifted rows, and only a person can know."""
    nights = [score_night(book, f"2026-0{month}-28") for month in (2, 3)]
    for seed, night in enumerate(nights, start=2):
        load_file(book, night, shuffled(truth(seed)), f"2026-0{seed + 1}-15")
    assert [vintage_of(book, one).trust for one in nights] == [Trust.CONTRADICTING] * 2
    before = newest_id(book)
    changed = trust_outcomes(book, BOOK, nights[0], is_accepted=True, who="Ada", why="the economy crashed")
    assert changed.vintage_job_id is not None
    assert get_job(book, changed.vintage_job_id).task is JobTask.VINTAGES
    work_off(book)
    assert [vintage_of(book, one).trust for one in nights] == [Trust.ACCEPTED, Trust.TRUSTED]
    assert new_outcomes(book, before)[0] == 2 * RECORDS, "they count as new"
    assert vintage_of(book, nights[0]).trusted_by == "Ada"
    assert events_of(book, nights[0])["outcomes.accepted"] == "the economy crashed"


def test_a_person_rejects_outcomes_that_look_right_until_they_are_corrected(book: Engine) -> None:
    night = score_night(book, "2026-02-28")
    load_file(book, night, truth(2), "2026-03-15")
    trust_outcomes(book, BOOK, night, is_accepted=False, who="Ada", why="of another country")
    assert night not in judging_jobs(book)
    assert labels_of(book).tolist() == truth(1).tolist()
    work_off(book)
    load_file(book, night, truth(3)[:9], "2026-03-16", keys=KEYS[:9])
    assert vintage_of(book, night).trust is Trust.REJECTED, "outcomes were only added"
    load_file(book, night, truth(3), "2026-03-15")
    assert vintage_of(book, night).trust is Trust.TRUSTED


def test_a_word_that_would_change_nothing_is_refused_with_advice(book: Engine) -> None:
    (night,) = judging_jobs(book)
    with pytest.raises(StateConflictError, match="trusted already"):
        trust_outcomes(book, BOOK, night, is_accepted=True, who="Ada", why="")
    with pytest.raises(NotFoundError, match=f"There are: {night}"):
        trust_outcomes(book, BOOK, 99, is_accepted=True, who="Ada", why="")


def test_too_few_outcomes_to_say_anything_are_trusted(book: Engine) -> None:
    night = score_night(book, "2026-02-28")
    load_file(book, night, 1 - truth(2)[:12], "2026-03-15", keys=KEYS[:12])
    assert vintage_of(book, night).trust is Trust.CONTRADICTING, "twelve bad ones where none was to be expected"
    load_file(book, night, truth(2)[300:312], "2026-03-15", keys=KEYS[300:312])
    few = score_night(book, "2026-03-31")
    load_file(book, few, shuffled(truth(3))[300:312], "2026-04-15", keys=KEYS[300:312])
    assert vintage_of(book, few).trust is Trust.TRUSTED
