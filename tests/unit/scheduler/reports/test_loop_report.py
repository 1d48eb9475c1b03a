"""The report about a loop: who was champion when, what a retraining brought, what was refused."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from db.retraining.loop_history import LoopDecision, LoopHistory, LoopModel, LoopNight, LoopTraining
from db.retraining.next_look import NextKind, NextLook
from db.schema.states import JobState, JobTask, ModelState, Verdict
from scheduler.reports.loop_documents import to_document
from scheduler.reports.loop_gains import Compared, compare_nights, measured_gain, realise
from scheduler.reports.loop_reading import cut_nights
from scheduler.reports.loop_report import LoopReport, build_report, find_reigns
from scheduler.reports.loop_sections import tell_what_is_missing, tell_what_is_next, write_sections

START = datetime(2026, 1, 1, 3, tzinfo=UTC)
DAY = timedelta(days=1)
LOOK = NextLook(NextKind.REFRESH, "a training is due when the outcomes have grown", outcomes_needed=120)


def model(version: str, day: int, state: ModelState = ModelState.RETIRED, job: int | None = None) -> LoopModel:
    return LoopModel(version, state, job, None, None, {}, 400, START + day * DAY)


def night(job: int, day: int, version: str, **changes: Any) -> LoopNight:
    known = {"roc_auc": 0.7, "brier": 0.12, "expected_bad_rate": 0.04}
    at = START + day * DAY
    values: dict[str, Any] = {
        "verdict": Verdict.STABLE, "unusable_reason": None, "expected": {"bad_rate": 0.05, "auc": 0.75},
        "outcomes": 100, "bad": 6, "figures": known, "trust": None, "trust_reason": None,
    }  # fmt: skip
    return LoopNight(job, f"{at:%Y-%m-%d}", at, version, 1_000, **(values | changes))


def decision(number: int, day: int, version: str, against: str | None, **changes: Any) -> LoopDecision:
    values: dict[str, Any] = {
        "action": "gate", "promoted": True, "reason": "every check passed", "by": "gate", "job_id": None, "made": None,
        "checks": [],
    }  # fmt: skip
    return LoopDecision(number, START + day * DAY, version=version, against=against, **(values | changes))


def training(job: int, task: JobTask, seconds: float, **changes: Any) -> LoopTraining:
    values: dict[str, Any] = {"state": JobState.DONE, "detail": None, "options": {}, "result": {}}
    times = (START, START, START + timedelta(seconds=seconds))
    rest = {"requested_by": "tidemark", "subject": None} | values | changes
    return LoopTraining(job, task, created_at=times[0], started_at=times[1], finished_at=times[2], **rest)


def report_of(**lists: Any) -> LoopReport:
    empty: dict[str, Any] = {"models": [], "nights": [], "trainings": [], "decisions": [], "events": []}
    return build_report("book", "A book", LoopHistory(**(empty | lists)), LOOK, champion="m1")


def test_champions_follow_each_other_and_a_rollback_ends_a_reign() -> None:
    reigns = find_reigns(
        [
            decision(1, 0, "m1", None),
            decision(2, 5, "m2", "m1", promoted=False),
            decision(3, 6, "m3", "m1"),
            decision(4, 9, "m1", "m3", action="rollback"),
            decision(5, 9, "m1", None, action="hold", promoted=False),
        ]
    )
    assert [(one.version, one.ended_by) for one in reigns] == [("m1", "gate"), ("m3", "rollback"), ("m1", None)]
    assert reigns[1].until == reigns[2].since == START + 9 * DAY


def test_a_model_is_called_what_its_first_decision_or_its_job_says() -> None:
    report = report_of(
        models=[model("m1", 0, job=1), model("m2", 1, job=2), model("m3", 2, job=2), model("m4", 3)],
        trainings=[training(1, JobTask.TRAIN, 5), training(2, JobTask.FINE_TUNE, 5)],
        decisions=[
            decision(1, 1, "m2", "m1", made="second look"),
            decision(2, 1, "m3", "m1", made="recalibrated"),
            decision(3, 3, "m4", "m3", action="scrub"),
        ],
    )
    assert [one.made for one in report.models] == ["trained", "fine_tuned", "recalibrated", "scrubbed"]


def test_rates_are_added_up_by_outcomes_and_nights_without_outcomes_say_only_what_is_expected() -> None:
    nights = [night(1, 0, "m1"), night(2, 1, "m1", outcomes=300, bad=9, figures={"roc_auc": 0.8})]
    nights.append(night(3, 2, "m1", outcomes=0, bad=0, figures={}, expected={"bad_rate": 0.08}))
    found = realise(nights)
    assert (found.outcomes, found.bad, found.bad_rate) == (400, 15, 15 / 400)
    assert found.roc_auc == pytest.approx((0.7 * 100 + 0.8 * 300) / 400)
    assert found.brier == pytest.approx(0.12)
    assert found.expected_bad_rate == pytest.approx(0.06)
    assert realise([]).bad_rate is None


def test_a_broken_night_says_nothing_of_its_model_and_one_that_was_rolled_back_does() -> None:
    wrong = night(1, 0, "m1", unusable_reason="no feed", verdict=Verdict.BROKEN_PIPELINE)
    kept = [night(2, 2, "m2", unusable_reason="m2 was rolled back"), replace(wrong, job_id=3, model_version="m2")]
    changes = [decision(1, 0, "m1", None), decision(2, 1, "m2", "m1"), decision(3, 3, "m1", "m2", action="rollback")]
    report = report_of(models=[model("m1", 0), model("m2", 1)], nights=[wrong, *kept], decisions=changes)
    assert [one.realised.outcomes for one in report.models] == [0, 100]
    assert [one.unusable_nights for one in report.models] == [1, 2]
    assert report.totals.realised.outcomes == 0


def test_the_gain_is_read_from_the_gate_and_odd_figures_are_left_out() -> None:
    difference = {"champion": 0.7, "challenger": 0.75, "difference": 0.05, "interval": [0.01, 0.09]}
    checks = [
        {"name": "gain", "figures": {"ROC AUC": difference, "odd": {"champion": None}, "gone": {}, "looks": 1}},
        {"name": "roc_auc", "figures": difference | {"challenger": 0.1}},
    ]
    assert measured_gain(decision(1, 0, "m2", "m1", checks=checks)) == [
        Compared("ROC AUC", 0.7, 0.75, 0.05, 0.01, 0.09)
    ]
    only_auc = measured_gain(decision(1, 0, "m2", "m1", checks=checks[1:]))
    assert [one.after for one in only_auc] == [0.1]
    assert measured_gain(decision(1, 0, "m2", "m1")) == []


def test_a_promoted_model_is_compared_afterwards_and_a_refused_one_is_not() -> None:
    watched = {"champion": 0.12, "challenger": 0.11, "difference": -0.01, "interval": [-0.02, 0.0]}
    report = report_of(
        models=[model("m1", 0), model("m2", 1)],
        nights=[night(1, 0, "m1"), night(2, 2, "m2", figures={"roc_auc": 0.74, "brier": 0.1})],
        trainings=[
            training(7, JobTask.FINE_TUNE, 90),
            training(8, JobTask.WATCH, 10, options={"version": "m2"}, result={"brier": watched, "outcomes": 50}),
        ],
        decisions=[decision(1, 1, "m2", "m1", job_id=7), decision(2, 2, "m2", "m1", promoted=False)],
    )
    promoted, refused = report.retrainings
    assert [one.difference for one in promoted.own_nights] == [pytest.approx(0.04), pytest.approx(-0.02)]
    assert (promoted.watched[0].difference, promoted.watched_outcomes, promoted.seconds) == (-0.01, 50, 90)
    assert (refused.own_nights, refused.watched, refused.outcome) == ([], [], "refused")
    assert [one.reason for one in report.refusals] == ["every check passed"]


def test_a_promotion_by_hand_is_followed_too() -> None:
    report = report_of(
        models=[model("m1", 0), model("m2", 1)],
        nights=[night(1, 0, "m1"), night(2, 2, "m2", figures={"roc_auc": 0.74})],
        decisions=[decision(1, 1, "m2", "m1", promoted=False), decision(2, 1, "m2", "m1", action="promote", by="ann")],
    )
    assert [one.outcome for one in report.retrainings] == ["refused", "promoted by hand"]
    assert [one.figure for one in report.retrainings[1].own_nights] == ["ROC AUC"]
    assert report.totals.promotions == 1


def test_nothing_is_compared_where_one_side_has_no_outcomes() -> None:
    nobody, somebody = realise([]), realise([night(1, 0, "m1")])
    assert compare_nights(nobody, somebody) == compare_nights(somebody, nobody) == []


def test_totals_count_failed_trainings_and_the_time_of_judgements_too() -> None:
    jobs = [
        training(1, JobTask.FINE_TUNE, 60, state=JobState.FAILED, detail="no outcomes"),
        training(2, JobTask.GATE, 5),
    ]
    totals = report_of(trainings=jobs).totals
    assert (totals.trainings, totals.failed_trainings, totals.training_seconds) == (1, 1, 65)
    shown = next(one for one in write_sections(report_of(trainings=jobs), []) if one.name == "trainings")
    assert shown.rows[0][-1] == "no outcomes"


def test_a_job_that_made_two_models_is_paid_for_once_in_the_table() -> None:
    report = report_of(
        models=[model("m2", 1, job=7), model("m3", 1, job=7)],
        trainings=[training(7, JobTask.FINE_TUNE, 90)],
        decisions=[decision(1, 1, "m2", "m1", job_id=7), decision(2, 1, "m3", "m1", job_id=7, promoted=False)],
    )
    rows = next(one for one in write_sections(report, []) if one.name == "retrainings").rows
    assert [row[-1] for row in rows] == ["1 min 30 s", "in the same job"]


def test_a_reason_of_several_lines_is_shown_in_one() -> None:
    report = report_of(decisions=[decision(1, 1, "m2", "m1", promoted=False, reason="too slow;\n  points moved")])
    rows = next(one for one in write_sections(report, []) if one.name == "refusals").rows
    assert [row[-1] for row in rows] == ["too slow; points moved"]


def test_every_row_has_a_cell_for_every_column() -> None:
    nights = [night(1, 0, "m1"), night(2, 1, "m1", outcomes=0, bad=0, figures={}, expected={}, verdict=None)]
    full = report_of(
        models=[model("m1", 0), model("m2", 1)],
        nights=nights,
        trainings=[training(7, JobTask.FINE_TUNE, 90)],
        decisions=[decision(1, 0, "m1", None), decision(2, 1, "m2", "m1", promoted=False)],
    )
    sections = write_sections(full, nights) + write_sections(report_of(), [])
    assert len({one.name for one in sections}) == len(sections) / 2
    assert all(len(row) == len(one.columns) for one in sections for row in one.rows)
    assert all(one.figures | one.days <= set(one.columns) for one in sections)


def test_what_is_next_and_what_is_missing_are_sentences() -> None:
    report = replace(report_of(), left_out=("nights", "events"))
    said, why = tell_what_is_next(report)
    assert said == "Next look: after 120 more outcomes, date unknown."
    assert why == "A training is due when the outcomes have grown."
    assert tell_what_is_missing(report) == "Only the newest rows are counted and shown of: nights, events."
    assert tell_what_is_missing(report_of()) == ""


def test_the_document_shows_the_newest_first_and_is_json() -> None:
    nights = [night(1, 0, "m1"), night(2, 1, "m1")]
    document = to_document(report_of(nights=nights, models=[model("m1", 0)]), nights, next_cursor="1")
    read = json.loads(json.dumps(document, default=str))
    assert [one["job"] for one in read["nights"]] == [2, 1]
    assert (read["next"]["kind"], read["next_cursor"]) == ("refresh", "1")
    assert read["models"][0]["realised"]["bad_rate"] == 0.06


def test_pages_of_nights_meet_without_a_gap() -> None:
    nights = [night(job, job, "m1") for job in range(1, 8)]
    seen: list[int] = []
    before: int | None = None
    while True:
        page, before = cut_nights(nights, before=before, limit=3)
        seen = [one.job_id for one in page] + seen
        if before is None:
            break
    assert seen == list(range(1, 8))
