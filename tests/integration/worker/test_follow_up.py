"""What follows a report is in its transaction: at most one fine-tuning, once a night, whoever monitors."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import Engine

from db.drift_reports import DriftReport, insert_report
from db.engine import writing
from db.jobs import Job, JobRequest, get_job, list_jobs, submit_job
from db.outcomes import load_outcomes
from db.states import JobKind, Verdict
from tests.building import BOOK, MODEL, add_model, load_book
from worker.trigger import follow_up


@pytest.fixture
def book(engine: Engine) -> Engine:
    """A portfolio with a champion and 300 bad outcomes that it does not know."""
    load_book(engine, range(400))
    add_model(engine)
    load_outcomes(engine, BOOK, [(str(key), int(key < 300), "2026-01-01") for key in range(400)], who="test")
    return engine


def night(engine: Engine) -> Job:
    return get_job(engine, submit_job(engine, JobRequest(JobKind.SCORING, BOOK, "test", {}, MODEL)))


def monitor(engine: Engine, job: Job, verdict: Verdict = Verdict.DRIFTED) -> int | None:
    report = DriftReport(BOOK, job.id, MODEL, verdict, {})
    with writing(engine) as connection:
        return follow_up(connection, job, report) if insert_report(connection, report) else None


def fine_tunings(engine: Engine) -> list[int]:
    return [job.id for job in list_jobs(engine, portfolio=BOOK, kind=JobKind.FINE_TUNING)]


def test_a_drifted_night_asks_for_one_fine_tuning_however_often_it_is_monitored(book: Engine) -> None:
    job = night(book)
    asked = monitor(book, job)
    assert asked is not None
    assert monitor(book, job) is None
    assert fine_tunings(book) == [asked]


def test_two_monitors_of_two_nights_at_once_ask_for_one_fine_tuning(book: Engine) -> None:
    nights = [night(book), night(book)]
    with ThreadPoolExecutor(2) as pool:
        asked = list(pool.map(lambda job: monitor(book, job), nights))
    assert len([one for one in asked if one is not None]) == 1
    assert len(fine_tunings(book)) == 1


@pytest.mark.parametrize("verdict", [one for one in Verdict if one is not Verdict.DRIFTED])
def test_no_other_verdict_trains(book: Engine, verdict: Verdict) -> None:
    assert monitor(book, night(book), verdict) is None
    assert fine_tunings(book) == []


def test_what_is_rolled_back_with_the_report_asks_for_nothing(book: Engine) -> None:
    report = DriftReport(BOOK, night(book).id, MODEL, Verdict.DRIFTED, {})
    job = get_job(book, report.job_id)
    with pytest.raises(RuntimeError), writing(book) as connection:  # noqa: PT012 - the transaction is what is tested
        insert_report(connection, report)
        assert follow_up(connection, job, report) is not None
        raise RuntimeError
    assert fine_tunings(book) == []


def test_a_night_that_another_model_scored_is_followed_by_nothing(book: Engine) -> None:
    add_model(book, "m2", champion=False)
    job = night(book)
    report = replace(DriftReport(BOOK, job.id, MODEL, Verdict.DRIFTED, {}), model_version="m2")
    with writing(book) as connection:
        assert follow_up(connection, job, report) is None
