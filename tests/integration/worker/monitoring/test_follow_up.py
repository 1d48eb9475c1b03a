"""What follows a report is in its transaction: at most one fine-tuning, once a night, whoever monitors."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import Engine

from db.access.webhooks import create_webhook
from db.connections.engine import writing
from db.events.event_log import list_events
from db.events.webhook_queue import claim_message
from db.ledger.job_lifecycle import Job, JobRequest, cancel_job, find_job, get_job, list_jobs, submit_job
from db.monitoring.drift_reports import DriftReport, insert_report
from db.portfolios.retraining_policy import RetrainingPolicy, WhenDrifted
from db.registry.champions import Decision, decide, find_champion, get_champion, list_decisions
from db.registry.versions import set_model_state
from db.retraining.outcomes import load_outcomes
from db.retraining.promotion import promote_version
from db.retraining.retraining_state import change_retraining, lock_retraining, mark_judged
from db.retraining.vintages import Vintage, save_vintage
from db.schema.states import JobKind, ModelState, Verdict
from tests.building import BOOK, MODEL, add_model, book_definition, load_book
from worker.monitoring.retraining_trigger import follow_outcomes, follow_up


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


def put_in_place(engine: Engine, version: str) -> None:
    add_model(engine, version, champion=False)
    promote_version(engine, version, who="test", why="")


def monitor_as(engine: Engine, version: str, verdict: Verdict) -> int | None:
    job = get_job(engine, submit_job(engine, JobRequest(JobKind.SCORING, BOOK, "test", {}, version)))
    with writing(engine) as connection:
        report = DriftReport(BOOK, job.id, version, verdict, {})
        return follow_up(connection, job, report) if insert_report(connection, report) else None


def champion_of(engine: Engine) -> str:
    champion = get_champion(engine, BOOK)
    assert champion is not None
    return champion.version


def test_a_new_champion_whose_first_nights_drift_is_taken_back(book: Engine) -> None:
    put_in_place(book, "m2")
    assert monitor_as(book, "m2", Verdict.STABLE) is None
    assert champion_of(book) == "m2"
    assert monitor_as(book, "m2", Verdict.DRIFTED) is None
    assert champion_of(book) == MODEL
    decision = list_decisions(book, BOOK)[0]
    assert (decision.action, decision.decided_by) == ("rollback", "monitor")


def test_a_broken_pipeline_takes_no_champion_back(book: Engine) -> None:
    put_in_place(book, "m2")
    monitor_as(book, "m2", Verdict.BROKEN_PIPELINE)
    assert champion_of(book) == "m2"


def dated_night(engine: Engine, version: str, date: str, verdict: Verdict) -> int | None:
    return dated_job(engine, version, date, verdict)[1]


def dated_job(
    engine: Engine, version: str, date: str, verdict: Verdict, figures: dict[str, object] | None = None
) -> tuple[int, int | None]:
    """Monitor a night of this date; return its scoring job and the job that it asked for."""
    request = JobRequest(JobKind.SCORING, BOOK, "test", {"night": date}, version)
    job = get_job(engine, submit_job(engine, request))
    with writing(engine) as connection:
        report = DriftReport(BOOK, job.id, version, verdict, figures or {})
        return job.id, follow_up(connection, job, report) if insert_report(connection, report) else None


def test_the_probation_of_a_monthly_book_ends_with_the_month_but_never_before_its_first_night(book: Engine) -> None:
    put_in_place(book, "m2")
    dated_night(book, "m2", "2026-01-31", Verdict.WATCH)
    assert dated_night(book, "m2", "2026-04-30", Verdict.DRIFTED) is not None
    assert champion_of(book) == "m2"
    dated_night(book, "m2", "2026-05-31", Verdict.STABLE)
    put_in_place(book, "m3")
    dated_night(book, "m3", "2026-06-30", Verdict.DRIFTED)
    assert champion_of(book) == "m2", "its first night counts, whenever it comes"


def promote_by_gate(engine: Engine, version: str) -> None:
    add_model(engine, version, champion=False)
    with writing(engine) as connection:
        before = find_champion(connection, BOOK)
        against = None if before is None else before.version
        passed = Decision(
            BOOK, version, against, promoted=True, reason="", figures={"made": "refit"}, decided_by="gate", job_id=None
        )
        assert decide(connection, passed, champion_before=before)


def know_outcomes_of(engine: Engine, job_id: int) -> None:
    """As if the outcomes of a night had been loaded, measured and trusted."""
    with writing(engine) as connection:
        save_vintage(connection, Vintage(job_id, BOOK, MODEL, 400, 300, {"expected_bad_rate": 0.75}))


@pytest.mark.parametrize("before", [Verdict.WATCH, Verdict.DRIFTED])
def test_where_the_world_was_moving_before_a_promotion_a_drifted_night_takes_no_champion_back(
    book: Engine, before: Verdict
) -> None:
    monitor(book, night(book), before)
    promote_by_gate(book, "m2")
    monitor_as(book, "m2", Verdict.DRIFTED)
    assert champion_of(book) == "m2"
    put_in_place(book, "m3")
    monitor_as(book, "m3", Verdict.DRIFTED)
    assert champion_of(book) == "m2", "a person's promotion has no outcomes behind it"


@pytest.mark.parametrize(
    ("outcomes_of", "figures", "champion"),
    [
        ("2026-05-31", {}, "m2"),
        ("2026-05-31", {"suspicions": {"amount": "the unit may have changed"}}, "m2"),  # speaks for no champion
        ("2026-01-31", {}, MODEL),
        (None, {}, MODEL),
    ],
)
def test_a_drifted_night_takes_back_what_the_gate_promoted_only_where_outcomes_cannot_decide(
    book: Engine, outcomes_of: str | None, figures: dict[str, object], champion: str
) -> None:
    """Outcomes are of the month before, of half a year before, or of no night."""
    for date in ("2026-01-31", *("2026-04-30",) * RetrainingPolicy().probation_nights, "2026-05-31"):
        job_id, _ = dated_job(book, MODEL, date, Verdict.STABLE)
        if date == outcomes_of:
            know_outcomes_of(book, job_id)
    promote_by_gate(book, "m2")
    dated_job(book, "m2", "2026-06-30", Verdict.DRIFTED, figures)
    assert champion_of(book) == champion


def test_a_mended_pipeline_ends_the_cool_down(book: Engine) -> None:
    first = dated_night(book, MODEL, "2026-01-01", Verdict.DRIFTED)
    assert first is not None
    cancel_job(book, first, who="test")
    assert dated_night(book, MODEL, "2026-01-02", Verdict.DRIFTED) is None
    dated_night(book, MODEL, "2026-01-03", Verdict.BROKEN_PIPELINE)
    assert dated_night(book, MODEL, "2026-01-04", Verdict.DRIFTED) is not None


def test_a_cool_down_counts_the_days_of_the_book(book: Engine) -> None:
    first = dated_night(book, MODEL, "2026-01-01", Verdict.DRIFTED)
    assert first is not None
    cancel_job(book, first, who="test")
    assert dated_night(book, MODEL, "2026-01-05", Verdict.DRIFTED) is None
    assert dated_night(book, MODEL, "2026-01-31", Verdict.DRIFTED) is not None


@pytest.mark.parametrize(("learned", "is_asked"), [(1600, True), (1601, False), (None, False)])
def test_a_refit_is_asked_for_when_outcomes_have_grown_by_a_quarter(
    book: Engine, learned: int | None, *, is_asked: bool
) -> None:
    """400 outcomes are new; the nights were calm."""
    assert monitor(book, night(book), Verdict.STABLE) is None
    with writing(book) as connection:
        change_retraining(connection, BOOK, tried_records=learned)
        asked = follow_outcomes(connection, book_definition())
        assert (asked is not None) is is_asked
        if asked is not None:
            assert find_job(connection, asked).options["challengers"] == ["refit"]
            assert follow_outcomes(connection, book_definition()) is None, "one is in flight"


def test_after_its_probation_a_champion_that_drifts_is_tuned_and_not_taken_back(book: Engine) -> None:
    put_in_place(book, "m2")
    for _ in range(RetrainingPolicy().probation_nights):
        monitor_as(book, "m2", Verdict.WATCH)
    assert monitor_as(book, "m2", Verdict.DRIFTED) is not None
    assert champion_of(book) == "m2"


def test_a_rollback_lengthens_the_cool_down(book: Engine) -> None:
    put_in_place(book, "m2")
    monitor_as(book, "m2", Verdict.DRIFTED)
    with writing(book) as connection:
        assert lock_retraining(connection, BOOK).failures == 1
    assert monitor(book, night(book)) is None, "the cool-down has begun"


def test_outcomes_that_came_since_ask_once_for_a_comparison_with_the_champion_before(book: Engine) -> None:
    put_in_place(book, "m2")
    asked: list[int | None] = []
    for _ in range(2):
        with writing(book) as connection:
            asked.append(follow_outcomes(connection, book_definition()))
    assert asked[0] is not None
    assert asked[1] is None, "one is in flight"
    job = get_job(book, asked[0])
    assert (job.task, job.options) == ("watch", {"version": "m2", "before": MODEL, "after_outcome": 0})


@pytest.mark.parametrize(("expected_rate", "is_asked"), [(0.7, False), (0.5, True), (0.98, True)])
def test_outcomes_that_do_not_fit_the_scores_ask_for_a_fine_tuning(
    book: Engine, expected_rate: float, *, is_asked: bool
) -> None:
    """300 of 400 outcomes are bad; the nights themselves were calm."""
    job = night(book)
    assert monitor(book, job, Verdict.STABLE) is None
    figures = {"expected_bad_rate": expected_rate}
    with writing(book) as connection:
        save_vintage(connection, Vintage(job.id, BOOK, MODEL, 400, 300, figures))
        asked = follow_outcomes(connection, book_definition())
        assert (asked is not None) == is_asked
        assert follow_outcomes(connection, book_definition()) is None, "never two at once"
    assert fine_tunings(book) == ([asked] if is_asked else [])
    if asked is not None:
        assert (get_job(book, asked).task, get_job(book, asked).options) == ("fine_tune", {"after_job": 0})


def test_the_cool_down_after_outcomes_runs_from_the_newest_night(book: Engine) -> None:
    """Outcomes come in weeks after their night: the nights between are no cool-down that has passed."""
    nights = [night(book) for _ in range(RetrainingPolicy().cool_down_nights + 1)]
    for one in nights:
        assert monitor(book, one, Verdict.STABLE) is None
    with writing(book) as connection:
        save_vintage(connection, Vintage(nights[0].id, BOOK, MODEL, 400, 300, {"expected_bad_rate": 0.5}))
        assert follow_outcomes(connection, book_definition()) is not None
        assert lock_retraining(connection, BOOK).last_night_id == nights[-1].id


def test_a_portfolio_may_ask_for_an_alert_where_outcomes_do_not_fit(book: Engine) -> None:
    job = night(book)
    assert monitor(book, job, Verdict.STABLE) is None
    alert = book_definition(retraining=RetrainingPolicy(when_outcomes_differ=WhenDrifted.ALERT))
    with writing(book) as connection:
        save_vintage(connection, Vintage(job.id, BOOK, MODEL, 400, 300, {"expected_bad_rate": 0.5}))
        assert follow_outcomes(connection, alert) is None
    events = [one.event for one in list_events(book, job.id)]
    assert "retraining.alert" in events


def test_an_alert_reaches_webhooks(book: Engine) -> None:
    create_webhook(book, "https://receiver.example/", ["retraining.alert"], portfolio=BOOK, who="test")
    job = night(book)
    with writing(book) as connection:
        change_retraining(connection, BOOK, is_held=True)
    assert monitor(book, job) is None
    message = claim_message(book)
    assert message is not None
    assert (message.event, message.facts["job"]) == ("retraining.alert", job.id)


def test_a_waiting_challenger_is_judged_again_only_when_there_is_new_evidence(book: Engine) -> None:
    add_model(book, "m2", champion=False)
    with writing(book) as connection:
        set_model_state(connection, "m2", ModelState.CHALLENGER)
        asked = follow_outcomes(connection, book_definition())
        assert asked is not None
        job = find_job(connection, asked)
        assert (job.task, job.options) == ("gate", {"version": "m2"})
    cancel_job(book, asked, who="test")
    with writing(book) as connection:
        mark_judged(connection, "m2", outcome_id=400, shadow_nights=0)
        assert follow_outcomes(connection, book_definition()) is None


def test_a_challenger_in_shadow_waits_for_its_nights(book: Engine) -> None:
    add_model(book, "m2", champion=False)
    definition = book_definition(retraining=RetrainingPolicy(shadow_nights=2))
    with writing(book) as connection:
        set_model_state(connection, "m2", ModelState.CHALLENGER)
        assert follow_outcomes(connection, definition) is None
