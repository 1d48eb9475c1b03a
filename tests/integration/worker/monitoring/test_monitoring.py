"""The monitor on real databases: one report a night, whatever the order of shards; a broken night is marked."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, text

from db.connections.engine import reading, writing
from db.errors import LeaseLostError, NotFoundError, StateConflictError
from db.events.event_log import list_events
from db.ledger.job_lifecycle import Job, JobRequest, get_job, list_jobs, submit_job
from db.ledger.shard_histograms import ShardMonitoring, read_job_counts
from db.ledger.shard_leases import Claim, claim_shard
from db.monitoring.drift_reports import DriftReport, find_report, list_reports
from db.monitoring.night_bands import count_bands
from db.monitoring.night_decisions import decide_night
from db.monitoring.unusable_nights import clear_unusable, mark_unusable
from db.portfolios.catalog import save_portfolio
from db.portfolios.monitoring_policy import CalendarEffect, MonitoringPolicy, ReferenceChoice
from db.registry.champions import Decision, decide
from db.registry.versions import register_model
from db.results.shard_results import complete_scored_shard
from db.schema.states import JobKind, Verdict
from scheduler.loop.shard_planning import plan_job, plan_queued_jobs
from tests.building import BOOK, MODEL, book_definition, load_book, result_for
from worker.monitoring.next_job import monitor_next_job
from worker.runtime.context import WorkerContext
from worker.runtime.settings import WorkerSettings

RECORDS, SHARD_ROWS = 400, 200
CANARY = {"records": 100, "mismatches": 0, "largest_difference": 0.0}


def histogram(mean: float, count: int, seed: int) -> dict[str, int]:
    values, counts = np.unique(np.random.default_rng(seed).normal(mean, 40, count).round(), return_counts=True)
    return {str(int(value)): int(number) for value, number in zip(values, counts, strict=True)}


@pytest.fixture
def book(engine: Engine) -> WorkerContext:
    """A book of 400 records with a champion whose reference has scores around 600 and two columns."""
    load_book(engine, range(RECORDS))
    fields = {"amount": [0, 0, 2500, 2500], "colour": [0, 0, 0, 2500, 2500]}
    reference = {"points": histogram(600, 5000, 1), "unscorable": 0, "fields": fields, "segments": {}}
    made: dict[str, Any] = {"version": MODEL, "job_id": None, "definition": book_definition(), "metrics": {}}
    decision = Decision(BOOK, MODEL, None, promoted=True, reason="t", figures={}, decided_by="t", job_id=None)
    with writing(engine) as connection:
        register_model(connection, **made, reference=reference)
        decide(connection, decision, champion_before=None)
    return WorkerContext(engine, WorkerSettings(), "w1")


def score_night(
    engine: Engine, mean: float = 600, *, reverse: bool = False, night: str | None = None, **monitored: Any
) -> Job:
    """Score a night whose points lie around a mean; each shard counts its part of them."""
    options = {} if night is None else {"night": night}
    job_id = submit_job(engine, JobRequest(JobKind.SCORING, BOOK, "test", options, MODEL))
    plan_job(engine, job_id, shard_rows=SHARD_ROWS)
    claims: list[Claim] = []
    while (claimed := claim_shard(engine, "scoring", worker="w", lease_seconds=60)) is not None:
        claims.append(claimed)
    counted = {"fields": {"amount": [0, 0, 50, 50], "colour": [0, 0, 0, 50, 50]}, "canary": CANARY} | monitored
    for claimed in reversed(claims) if reverse else claims:
        result = replace(
            result_for(engine, claimed),
            histogram=histogram(mean, SHARD_ROWS, claimed.ordinal),
            monitored=ShardMonitoring(**counted),
        )
        complete_scored_shard(engine, claimed, result, worker="w")
    return get_job(engine, job_id)


def monitor(context: WorkerContext) -> DriftReport:
    """Monitor the night that waits and return its report."""
    plan_queued_jobs(context.engine, shard_rows=SHARD_ROWS)
    assert monitor_next_job(context)
    return list_reports(context.engine, BOOK)[0]


def test_a_quiet_night_is_stable_and_a_moved_one_is_not(book: WorkerContext) -> None:
    score_night(book.engine)
    assert monitor(book).verdict is Verdict.STABLE
    score_night(book.engine, 550)
    report = monitor(book)
    assert report.verdict is Verdict.DRIFTED
    assert report.psi_corrected == report.figures["psi_corrected"] > 0.5
    assert report.figures["previous"]["job"] < report.job_id


def test_the_order_of_the_shards_changes_nothing(book: WorkerContext) -> None:
    first = score_night(book.engine)
    second = score_night(book.engine, reverse=True)
    with reading(book.engine) as connection:
        counts = read_job_counts(connection, [first.id, second.id])
    assert counts[first.id] == counts[second.id]
    assert sum(counts[first.id]["points"].values()) == RECORDS
    assert counts[first.id]["fields"] == {"amount": [0, 0, 100, 100], "colour": [0, 0, 0, 100, 100]}


def test_a_shard_that_is_delivered_twice_counts_once(book: WorkerContext) -> None:
    job_id = submit_job(book.engine, JobRequest(JobKind.SCORING, BOOK, "test", {}, MODEL))
    plan_job(book.engine, job_id, shard_rows=RECORDS)
    claimed = claim_shard(book.engine, "scoring", worker="w", lease_seconds=60)
    assert claimed is not None
    result = result_for(book.engine, claimed)
    complete_scored_shard(book.engine, claimed, result, worker="w")
    with pytest.raises(LeaseLostError):
        complete_scored_shard(book.engine, claimed, result, worker="w")
    with reading(book.engine) as connection:
        assert sum(read_job_counts(connection, [job_id])[job_id]["points"].values()) == RECORDS


def test_a_job_closed_by_an_older_release_is_added_up_when_it_is_asked_for(book: WorkerContext) -> None:
    job = score_night(book.engine)
    with writing(book.engine) as connection:
        folded = read_job_counts(connection, [job.id])
        connection.execute(text("DELETE FROM tidemark_job_histograms"))
        assert read_job_counts(connection, [job.id]) == folded


BROKEN = [
    {"canary": CANARY | {"mismatches": 2, "largest_difference": 0.1}},
    {"fields": {"amount": [100, 0, 0, 0], "colour": [0, 0, 0, 50, 50]}},
]


@pytest.mark.parametrize("monitored", BROKEN, ids=["canary", "empty"])
def test_a_broken_night_is_marked_not_shown_and_not_learnt_from(book: WorkerContext, monitored: dict[str, Any]) -> None:
    good = score_night(book.engine)
    monitor(book)
    broken = score_night(book.engine, 520, **monitored)
    assert monitor(book).verdict is Verdict.BROKEN_PIPELINE
    assert get_job(book.engine, broken.id).unusable_reason
    assert shown(book.engine) == {good.id}
    assert list_jobs(book.engine, kind=JobKind.FINE_TUNING) == []
    after = score_night(book.engine)
    assert after.compared_job_id == good.id
    assert monitor(book).verdict is Verdict.STABLE


def test_the_mark_can_be_taken_back(book: WorkerContext) -> None:
    broken = score_night(book.engine, **BROKEN[0])
    monitor(book)
    assert shown(book.engine) == set()
    with writing(book.engine) as connection:
        assert clear_unusable(connection, broken.id, "the feed was right after all", who="me")
    assert shown(book.engine) == {broken.id}


def test_the_night_before_is_pinned_when_a_night_is_planned(book: WorkerContext) -> None:
    assert score_night(book.engine).compared_job_id is None
    first, second = score_night(book.engine), score_night(book.engine)
    assert second.compared_job_id == first.id


def test_two_monitors_of_one_night_store_one_report(book: WorkerContext) -> None:
    job = score_night(book.engine, 520)
    plan_queued_jobs(book.engine, shard_rows=SHARD_ROWS)
    others = [replace(book, name=f"w{number}") for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        worked = list(pool.map(monitor_next_job, others))
    assert worked.count(True) == 1
    assert [one.job_id for one in list_reports(book.engine, BOOK)] == [job.id]


def test_limits_are_set_on_the_first_night_and_kept(book: WorkerContext) -> None:
    def stored() -> list[Any]:
        with reading(book.engine) as connection:
            return list(connection.execute(text("SELECT made_at, nights FROM tidemark_alarm_limits")))

    score_night(book.engine)
    monitor(book)
    first = stored()
    score_night(book.engine)
    monitor(book)
    assert len(first) == 1
    assert stored() == first


def test_a_night_that_is_declared_different_is_no_alarm(book: WorkerContext) -> None:
    policy = MonitoringPolicy(calendar=(CalendarEffect("pay_day", days=(25,)),))
    save_portfolio(book.engine, book_definition(monitoring=policy), who="test")
    score_night(book.engine, 550, night="2026-11-25")
    first = monitor(book)
    assert (first.verdict, first.calendar, first.psi_corrected) == (Verdict.WATCH, "pay_day", None)
    score_night(book.engine, 550, night="2026-12-25")
    assert monitor(book).verdict is Verdict.STABLE
    score_night(book.engine, 550, night="2026-12-26")
    assert monitor(book).verdict is Verdict.DRIFTED


def test_the_first_night_is_the_reference_where_the_portfolio_says_so(book: WorkerContext) -> None:
    policy = MonitoringPolicy(reference=ReferenceChoice.FIRST_NIGHT)
    save_portfolio(book.engine, book_definition(monitoring=policy), who="test")
    first = score_night(book.engine, 550)
    assert monitor(book).figures["reference"] == {"kind": "training", "job": None}
    score_night(book.engine, 550)
    second = monitor(book)
    assert second.figures["reference"] == {"kind": "first_night", "job": first.id}
    assert second.verdict is Verdict.STABLE


def test_the_bands_of_the_night_before_are_counted_by_group_of_keys(book: WorkerContext) -> None:
    job = score_night(book.engine)
    groups = {"A": ["0", "399", "nobody"], "B": ["1"], "C": []}
    assert count_bands(book.engine, job.id, groups) == {"D": {"A": 2, "B": 1}}
    assert count_bands(book.engine, job.id, {}) == {}


@pytest.mark.parametrize("key", ['"', "\\", "a,b", "{}", "NULL", "", "' OR 1=1 --", "\U0001f600"])
def test_a_key_of_any_text_finds_its_band_and_no_other(book: WorkerContext, key: str) -> None:
    job = score_night(book.engine)
    with writing(book.engine) as connection:
        connection.execute(text("UPDATE tidemark_scores SET record_key = :key WHERE record_key = '1'"), {"key": key})
    assert count_bands(book.engine, job.id, {"A": [key, "1"]}) == {"D": {"A": 1}}


def usable_since(context: WorkerContext, job: Job, *, is_broken: bool) -> tuple[Verdict, bool, bool]:
    """Decide about a night; return its verdict, whether its scores can be used, and whether later nights add it up."""
    decided = decide_night(context.engine, job.id, is_broken=is_broken, who="ana", why="asked the feed's owner")
    report = find_report(context.engine, job.id)
    assert report is not None
    assert report.verdict is decided.verdict
    can_be_used = get_job(context.engine, job.id).unusable_reason is None
    assert can_be_used or job.id not in shown(context.engine)
    return report.verdict, can_be_used, report.psi_corrected is not None


def test_a_person_decides_that_a_night_was_broken_and_takes_it_back(book: WorkerContext) -> None:
    suspected = score_night(book.engine, fields={"amount": [60, 0, 20, 20], "colour": [0, 0, 0, 50, 50]})
    assert monitor(book).verdict is Verdict.WATCH
    assert usable_since(book, suspected, is_broken=True) == (Verdict.BROKEN_PIPELINE, False, False)
    assert score_night(book.engine).compared_job_id is None
    assert usable_since(book, suspected, is_broken=False) == (Verdict.WATCH, True, True)


def test_an_honest_change_that_stays_is_not_suspected_again_until_it_is_decided_otherwise(book: WorkerContext) -> None:
    gaps = {"fields": {"amount": [60, 0, 20, 20], "colour": [0, 0, 0, 50, 50]}}
    first = score_night(book.engine, **gaps)
    assert list(monitor(book).figures["suspicions"]) == ["amount: missing"]
    decide_night(book.engine, first.id, is_broken=False, who="ana", why="a new form")
    second = score_night(book.engine, **gaps)
    found = monitor(book).figures
    assert (found["suspicions"], found["settled"]) == ({}, ["amount: missing"])
    decide_night(book.engine, second.id, is_broken=True, who="ana", why="now it is the feed")
    score_night(book.engine, **gaps)
    assert list(monitor(book).figures["suspicions"]) == ["amount: missing"]


def test_a_person_decides_that_a_night_called_broken_was_honest(book: WorkerContext) -> None:
    marked = score_night(book.engine, **BROKEN[0])
    assert monitor(book).verdict is Verdict.BROKEN_PIPELINE
    assert usable_since(book, marked, is_broken=False) == (Verdict.WATCH, True, True)
    report = find_report(book.engine, marked.id)
    assert report is not None
    assert report.figures["decision"] == {"is": "honest", "was": "broken_pipeline", "who": "ana"}


def test_the_same_decision_twice_is_one_event(book: WorkerContext) -> None:
    night = score_night(book.engine)
    monitor(book)
    decisions = [decide_night(book.engine, night.id, is_broken=True, who="ana", why="") for _ in range(2)]
    assert [one.has_changed for one in decisions] == [True, False]
    told = [(one.who, one.why) for one in list_events(book.engine, night.id) if one.event == "drift.decided"]
    assert told == [("ana", "broken")]


def test_an_honest_night_of_a_model_that_was_rolled_back_stays_unusable(book: WorkerContext) -> None:
    night = score_night(book.engine)
    monitor(book)
    with writing(book.engine) as connection:
        mark_unusable(connection, night.id, "scored by m1, which was rolled back", who="rollback")
    assert usable_since(book, night, is_broken=False) == (Verdict.STABLE, False, True)


def test_a_night_without_a_report_cannot_be_decided_about(book: WorkerContext) -> None:
    night = score_night(book.engine)
    with pytest.raises(StateConflictError, match="no report about job"):
        decide_night(book.engine, night.id, is_broken=True, who="ana", why="")
    with pytest.raises(NotFoundError):
        decide_night(book.engine, 99, is_broken=True, who="ana", why="")


def shown(engine: Engine) -> set[int]:
    with reading(engine) as connection:
        return set(connection.execute(text("SELECT job_id FROM latest_scores")).scalars())
