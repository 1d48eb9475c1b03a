"""The history of a loop and the state that decides its next step, read from each kind of database."""

from dataclasses import replace
from datetime import date

import pandas as pd
import pytest
from sqlalchemy import Engine, text

from db.connections.engine import reading, writing
from db.ledger.job_lifecycle import JobRequest, submit_job
from db.portfolios.catalog import get_portfolio, save_portfolio
from db.portfolios.monitoring_policy import MonitoringPolicy
from db.portfolios.retraining_policy import GatePolicy, RetrainingPolicy
from db.registry.versions import set_model_state
from db.retraining.expected_dates import Arrival
from db.retraining.loop_history import read_loop_history
from db.retraining.loop_state import find_retraining, read_loop_state
from db.retraining.next_look import NextKind, next_look
from db.retraining.outcomes import load_outcomes
from db.retraining.promotion import hold
from db.retraining.retraining_state import change_retraining, lock_retraining
from db.schema.states import JobKind, JobTask, ModelState, Verdict
from db.sources.labelled_dates import count_labelled, count_labelled_by_date
from db.sources.loading import load_records
from scheduler.reports.loop_reading import read_loop_report
from tests.building import BOOK, add_model, book_definition, book_frame, load_book
from tests.loop_story import GAIN, tell_story

POLICY = MonitoringPolicy()


def test_everything_that_happened_is_read_oldest_first(engine: Engine) -> None:
    nights = tell_story(engine)
    history = read_loop_history(engine, BOOK, POLICY)
    assert [one.job_id for one in history.nights] == nights
    assert [one.date for one in history.nights] == [f"2026-01-0{day}" for day in range(1, 6)]
    assert [one.verdict for one in history.nights][1:4] == [Verdict.STABLE, Verdict.DRIFTED, Verdict.STABLE]
    assert history.nights[0].expected == {"bad_rate": 0.2, "auc": 0.75}
    assert (history.nights[0].outcomes, history.nights[0].bad, history.nights[0].figures["brier"]) == (20, 5, 0.12)
    assert [one.version for one in history.models] == ["m1", "m2", "m2c", "m3"]
    assert [one.task for one in history.trainings] == [JobTask.TRAIN, JobTask.FINE_TUNE, JobTask.WATCH]
    assert all(one.seconds is not None and one.seconds >= 0 for one in history.trainings)
    actions = ["gate", "gate", "gate", "rollback", "hold", "release", "undecided"]
    assert [one.action for one in history.decisions] == actions
    assert (history.decisions[1].made, history.decisions[1].checks) == ("fine_tuned", [GAIN])
    assert [one.event for one in history.events] == ["retraining.alert", "retraining.hold", "retraining.release"]
    assert history.left_out == ()


def test_only_the_newest_nights_are_read_and_the_history_says_so(engine: Engine) -> None:
    nights = tell_story(engine)
    history = read_loop_history(engine, BOOK, POLICY, most_nights=2)
    assert ([one.job_id for one in history.nights], history.left_out) == (nights[-2:], ("nights",))


def test_nothing_of_another_portfolio_is_read(engine: Engine) -> None:
    tell_story(engine)
    load_book(engine, [1], name="other", source="other")
    history = read_loop_history(engine, "other", POLICY)
    assert (history.models, history.nights, history.trainings, history.decisions, history.events) == (
        [],
        [],
        [],
        [],
        [],
    )


def test_a_portfolio_without_a_history_has_a_report_too(engine: Engine) -> None:
    load_book(engine, [1])
    report = read_loop_report(engine, get_portfolio(engine, BOOK))
    assert (report.next_look.kind, report.totals.models) == (NextKind.NO_CHAMPION, 0)


def test_a_waiting_challenger_is_the_next_step(engine: Engine) -> None:
    tell_story(engine)
    look = read_loop_report(engine, get_portfolio(engine, BOOK)).next_look
    assert (look.kind, look.nights_needed, look.expected_date) == (NextKind.CHALLENGER, 1, date(2026, 1, 6))


def test_without_a_challenger_the_outcomes_decide(engine: Engine) -> None:
    policy = RetrainingPolicy(refresh=0.25, cool_down_nights=1, gate=GatePolicy(least_bad=4))
    tell_story(engine, retraining=policy)
    with writing(engine) as connection:
        set_model_state(connection, "m3", ModelState.REFUSED)
    state = read_loop_state(engine, book_definition(), [])
    assert (state.learned_records, state.new_outcomes, state.nights_since_last) == (400, 40, 2)
    assert state.arrivals == [Arrival(date(2026, 1, 4), 20, 5), Arrival(date(2026, 1, 6), 20, 5)]
    drifted = next_look(state, replace(policy, refresh=None))
    assert (drifted.kind, drifted.bad_needed) == (NextKind.DRIFT, 290)  # m1's newest night drifted; 10 are known
    look = next_look(state, policy)
    # 100 more are due, 40 of them are known, and 20 come in two days.
    assert (look.kind, look.outcomes_needed, look.expected_date) == (NextKind.REFRESH, 60, date(2026, 1, 12))


def test_what_a_training_has_tried_is_not_new(engine: Engine) -> None:
    tell_story(engine)
    with writing(engine) as connection:
        lock_retraining(connection, BOOK)
        change_retraining(connection, BOOK, tried_outcome_id=20, tried_records=460)
    state = read_loop_state(engine, book_definition(), [])
    assert (state.learned_records, state.new_outcomes) == (460, 20)


def test_outcomes_that_are_not_trusted_do_not_count(engine: Engine) -> None:
    nights = tell_story(engine)
    with writing(engine) as connection:  # the first 16 outcomes belong to the first two nights
        spread = text("UPDATE tidemark_outcomes SET scored_job_id = :job WHERE id > :low AND id <= :low + 8")
        connection.execute(spread, [{"job": job, "low": 8 * place} for place, job in enumerate(nights[:2])])
    assert read_loop_state(engine, book_definition(), []).new_outcomes == 40
    with writing(engine) as connection:
        connection.execute(
            text("UPDATE tidemark_vintages SET trust = 'rejected' WHERE job_id = :job"), {"job": nights[0]}
        )
    assert read_loop_state(engine, book_definition(), []).new_outcomes == 32


def test_a_hold_and_an_unfinished_job_are_seen(engine: Engine) -> None:
    load_book(engine, range(4))
    add_model(engine)
    assert not read_loop_state(engine, book_definition(), []).is_held
    hold(engine, BOOK, held=True, who="bob", why="audit")
    submit_job(engine, JobRequest(JobKind.TRAINING, BOOK, "ann", {}))
    state = read_loop_state(engine, book_definition(), [])
    assert (state.is_held, state.running) == (True, "job 1 (train, queued)")


def test_a_replay_is_no_part_of_the_history(engine: Engine) -> None:
    load_book(engine, range(4))
    add_model(engine)
    submit_job(engine, JobRequest(JobKind.TRAINING, BOOK, "ann", {"replay": {"from": "2026-01-01"}}))
    assert read_loop_state(engine, book_definition(), []).running is None
    assert read_loop_history(engine, BOOK, POLICY).trainings == []


def test_reading_the_state_writes_nothing(engine: Engine) -> None:
    load_book(engine, range(4))
    read_loop_state(engine, book_definition(), [])
    with reading(engine) as connection:
        assert find_retraining(connection, BOOK) is None


@pytest.fixture
def dated(engine: Engine) -> Engine:
    """A book whose source holds outcomes itself, with their dates."""
    definition = book_definition(as_of="seen", source="dated")
    frame: pd.DataFrame = book_frame(range(6))
    frame["bad"] = [1.0, 0.0, 1.0, 0.0, None, 1.0]
    frame["seen"] = ["2026-01-01", "2026-01-02", "2026-01-02", "2026-01-03", "2026-01-03", None]
    save_portfolio(engine, definition, who="test")
    load_records(engine, definition, [frame], key_type="integer", who="test")
    return engine


def test_outcomes_of_the_source_are_counted_by_date(dated: Engine) -> None:
    definition = get_portfolio(dated, BOOK).definition
    with reading(dated) as connection:
        found = count_labelled_by_date(connection, definition, "2026-01-01")
        assert found == [("2026-01-02", 2, 1), ("2026-01-03", 1, 0)]
        assert count_labelled_by_date(connection, book_definition(), "2026-01-01") == []
        assert count_labelled(connection, definition, "2026-01-01") == (3, 1)
        assert count_labelled(connection, book_definition(), "2026-01-01") == (0, 0)


def test_outcomes_of_the_source_that_are_not_final_are_not_counted(dated: Engine) -> None:
    definition = get_portfolio(dated, BOOK).definition
    with reading(dated) as connection:
        until = date(2026, 1, 2)
        assert count_labelled_by_date(connection, definition, "2026-01-01", until=until) == [("2026-01-02", 2, 1)]
        assert count_labelled(connection, definition, "2026-01-01", until=until) == (2, 1)
        assert count_labelled(connection, definition, "", until=date(2025, 12, 31)) == (0, 0)


def test_a_source_that_is_gone_leaves_the_page_whole(engine: Engine) -> None:
    load_book(engine, range(4))
    add_model(engine)
    load_outcomes(engine, BOOK, [("1", 1, "2026-01-04")], who="test")
    with writing(engine) as connection:
        lock_retraining(connection, BOOK)
        change_retraining(connection, BOOK, tried_as_of="2026-01-01")
    state = read_loop_state(engine, book_definition(as_of="no_such_column"), [])
    assert state.arrivals == [Arrival(date(2026, 1, 4), 1, 1)]
