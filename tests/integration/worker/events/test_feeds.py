"""Feeds of events that stop, that are empty, or in which one record has most of the events."""

from datetime import timedelta

import pytest

from db.monitoring.drift_reports import DriftReport, list_reports
from db.schema.states import JobState, Verdict
from db.sources import event_table
from db.sources.event_loading import EventLoadMode
from scheduler.loop.shard_planning import plan_queued_jobs
from tests.integration.worker.events.conftest import Trained
from tests.integration.worker.events.event_book import (
    BOOK,
    RECORDS,
    Event,
    add_events,
    moment_of,
    score,
    scores_of,
)
from worker.monitoring.next_job import monitor_next_job
from worker.runtime.context import WorkerContext

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]  # they need a model

MANY, READ, BUSY = 20_000, 2_000, 200


def _monitored_night(context: WorkerContext, night: str) -> DriftReport:
    job = score(context, options={"night": night})
    assert job.state is JobState.DONE, job.detail
    plan_queued_jobs(context.engine)
    assert monitor_next_job(context)
    report = list_reports(context.engine, BOOK)[0]
    assert report.job_id == job.id
    return report


def test_a_night_after_the_feed_stopped_tells_of_its_table_alone(context: WorkerContext) -> None:
    quiet = _monitored_night(context, "2026-10-08")
    assert quiet.verdict is not Verdict.BROKEN_PIPELINE, quiet.figures["reasons"]
    add_events(context.engine, [], EventLoadMode.REPLACE)
    broken = _monitored_night(context, "2026-10-09")
    assert broken.verdict is Verdict.BROKEN_PIPELINE
    reasons = broken.figures["reasons"]
    assert len(reasons) <= 2, "what is certain, and what is a suspicion"
    assert all(one.startswith("the events bookings have changed: ") for one in reasons)
    assert "more fields made of them" in reasons[0]


def _fault_of(context: WorkerContext, night: str) -> tuple[Verdict, str]:
    report = _monitored_night(context, night)
    return report.verdict, " ".join(report.figures["faults"].values())


def test_a_night_whose_feed_was_loaded_twice_says_so_until_it_is_mended(
    context: WorkerContext, trained: Trained
) -> None:
    assert "doubled" not in _fault_of(context, "2026-10-08")[1]
    add_events(context.engine, trained.events)
    verdict, said = _fault_of(context, "2026-10-09")
    assert verdict is Verdict.BROKEN_PIPELINE
    assert "the events bookings are doubled: nearly each of them stands twice" in said
    verdict, said = _fault_of(context, "2026-10-10")
    assert "the events bookings are doubled" in said, "a broken night is not what the next one is compared with"
    add_events(context.engine, trained.events, EventLoadMode.REPLACE)
    assert "doubled" not in _fault_of(context, "2026-10-11")[1]


def test_a_night_whose_feed_is_a_day_late_says_so(context: WorkerContext, trained: Trained) -> None:
    daily = [
        {"id": key, "at": moment_of(key) - timedelta(days=day, hours=5), "kind": "food", "amount": float(day)}
        for key in trained.frame["id"]
        for day in range(28)
    ]
    add_events(context.engine, daily)
    assert "late" not in _fault_of(context, "2026-10-08")[1]
    arrived = [one for one in [*trained.events, *daily] if one["at"] <= moment_of(one["id"]) - timedelta(days=1)]
    add_events(context.engine, arrived, EventLoadMode.REPLACE)
    verdict, said = _fault_of(context, "2026-10-09")
    assert verdict is Verdict.BROKEN_PIPELINE
    assert "the events bookings are late or have stopped: none, or hardly any, in the last day" in said


def test_of_a_record_with_too_many_events_the_newest_are_read_and_no_other_score_changes(
    context: WorkerContext, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_table, "NEWEST_READ", READ)
    before = scores_of(context.engine, score(context))
    many = _busy(MANY)
    add_events(context.engine, many)
    job = score(context)
    assert (job.state, job.scored) == (JobState.DONE, RECORDS)
    skewed = scores_of(context.engine, job)
    assert {key for key in before if skewed[key] != before[key]} == {str(BUSY)}
    others = [one for one in trained.events if one["id"] != BUSY]
    add_events(context.engine, [*others, *many[:READ]], EventLoadMode.REPLACE)
    assert scores_of(context.engine, score(context)) == skewed


def _busy(count: int) -> list[Event]:
    """Bookings of one record in the second before its moment, the newest first."""
    moment, kinds = moment_of(BUSY), ("cash", "food")
    return [
        {"id": BUSY, "at": moment - timedelta(microseconds=one), "kind": kinds[one >= READ], "amount": float(one)}
        for one in range(count)
    ]
