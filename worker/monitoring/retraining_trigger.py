"""Answers a monitored night, or new outcomes, with a retraining, a gate, a rollback or nothing, by pure rules."""

from dataclasses import replace
from logging import getLogger

from db.connections.engine import Connection
from db.events.event_log import record_event
from db.events.wording import counted
from db.ledger.job_lifecycle import Job, JobRequest, find_job, insert_follow_up, insert_job
from db.monitoring.drift_reports import DriftReport
from db.portfolios.definition import PortfolioDefinition
from db.portfolios.retraining_policy import RetrainingPolicy, WithoutOutcomes
from db.registry.champions import find_champion, find_promotion
from db.registry.versions import LearnedUntil, ModelVersion, find_model
from db.retraining.outcomes import count_new
from db.retraining.promotion import find_previous_champion, roll_back_within
from db.retraining.retraining_state import (
    NIGHT_JOB,
    RetrainingState,
    change_retraining,
    count_champion_nights,
    count_nights_after,
    count_shadow_nights,
    find_challengers,
    find_last_stable_night,
    find_newest_night,
    find_verdict_before,
    has_open_fine_tuning,
    list_training_nights,
    lock_retraining,
)
from db.retraining.usable_outcomes import find_maturity, find_usable
from db.schema.states import JobKind, JobTask, Verdict
from db.sources.labelled_dates import count_labelled
from worker.gate.decisions import GATE
from worker.gate.probation import Probation, is_taken_back
from worker.gate.retraining_rules import Answer, Situation, answer_drift, count_in_month, is_due_for_refresh
from worker.monitoring.book_calendar import days_between
from worker.monitoring.calming import calm_after_outcomes, calm_down
from worker.monitoring.champion_outcomes import deviation_of

logger = getLogger(__name__)

WHO = "monitor"


def follow_up(connection: Connection, job: Job, report: DriftReport) -> int | None:
    """Act on a report in the transaction that stores it; return the id of the requested job.

    `job` is the monitoring job. Call it only for a report that was stored just now. A night that was not scored by the
    champion, or whose pipeline was broken, triggers nothing. A night that has drifted may take a new champion back
    (`worker.gate.probation`); otherwise a waiting challenger is judged when its shadow nights are complete, and a
    drifted night may ask for a fine-tuning.
    """
    champion = find_champion(connection, report.portfolio)
    if champion is None or champion.version != report.model_version or report.verdict is Verdict.BROKEN_PIPELINE:
        return None
    state = lock_retraining(connection, report.portfolio)
    policy = job.definition.retraining
    if report.verdict is Verdict.DRIFTED and is_taken_back(_probation_of(connection, report), policy):
        return _take_back(connection, report, state)
    if (
        find_verdict_before(connection, report.portfolio, report.job_id) is Verdict.BROKEN_PIPELINE
    ):  # the pipeline is mended: time to look again
        change_retraining(connection, report.portfolio, failures=0, last_night_id=None)
        state = lock_retraining(connection, report.portfolio)
    state = calm_down(connection, find_job(connection, report.job_id), report.verdict, state)
    asked = judge_waiting(connection, job.definition, state)
    if asked is None and report.verdict is Verdict.DRIFTED:
        asked = _answer_drifted_night(connection, report, state)
    return asked or _refresh(connection, job.definition, state)


def _answer_drifted_night(connection: Connection, report: DriftReport, state: RetrainingState) -> int | None:
    night = find_job(connection, report.job_id)
    # Outcomes of the quiet nights before teach nothing about a population that moved.
    stable_night = find_last_stable_night(connection, night.portfolio)
    situation = _situation(connection, night, state, stable_night=stable_night)
    answer, why = answer_drift(situation, night.definition.retraining)
    return _act(connection, night, state, answer, why, stable_night=stable_night)


def follow_outcomes(connection: Connection, definition: PortfolioDefinition) -> int | None:
    """Act on new outcomes: judge the waiting challengers, watch a new champion, retrain, or refit.

    Returns the id of the requested job, in the caller's transaction.
    """
    state = calm_after_outcomes(connection, definition, lock_retraining(connection, definition.name))
    for answer in (judge_waiting, _watch_champion, _answer_outcomes, _refresh):
        asked = answer(connection, definition, state)
        if asked is not None:
            return asked
    return None


def judge_waiting(connection: Connection, definition: PortfolioDefinition, state: RetrainingState) -> int | None:
    """Submit a gate job if a challenger is waiting and there is evidence that it has not been judged on."""
    name, policy = definition.name, definition.retraining
    if state.is_held or has_open_fine_tuning(connection, name):
        return None
    due = [one.version for one in find_challengers(connection, name) if _has_new_evidence(connection, one, policy)]
    if not due:
        return None
    request = JobRequest(JobKind.FINE_TUNING, name, WHO, {"version": due[0]}, task=JobTask.GATE)
    return insert_job(connection, request)


def _has_new_evidence(connection: Connection, waiting: ModelVersion, policy: RetrainingPolicy) -> bool:
    nights = count_shadow_nights(connection, waiting.version)
    if nights < policy.shadow_nights:
        return False
    if not waiting.was_judged(shadow_nights=nights, wanted=policy.shadow_nights):
        return True
    _, new_bad = count_new(connection, waiting.portfolio, after_id=waiting.judged_outcome_id or 0)
    return new_bad >= policy.gate.least_bad


def _situation(connection: Connection, night: Job, state: RetrainingState, *, stable_night: int) -> Situation:
    name = night.portfolio
    last = state.last_night_id
    since = None if last is None else count_nights_after(connection, name, last)
    return Situation(
        is_held=state.is_held,
        is_in_flight=has_open_fine_tuning(connection, name),
        has_challenger=_is_in_shadow(connection, night.definition),
        nights_since_last=since,
        nights_since_training=_count_nights_since_training(connection, name),
        days_since_last=days_between(connection, last, night),
        failures=state.failures,
        fine_tunings_this_month=_count_this_month(connection, night),
        new_bad_outcomes=_count_learnable(connection, night, state, stable_night=stable_night),
    )


def _is_in_shadow(connection: Connection, definition: PortfolioDefinition) -> bool:
    waiting = find_challengers(connection, definition.name)
    nights = definition.retraining.shadow_nights
    return bool(waiting) and nights > 0 and count_shadow_nights(connection, waiting[0].version) < nights


def _probation_of(connection: Connection, report: DriftReport) -> Probation:
    """What is known of the champion in a night that has drifted, whose report is already counted."""
    name, version = report.portfolio, report.model_version
    night, (nights, first) = find_job(connection, report.job_id), count_champion_nights(connection, name)
    promotion = find_promotion(connection, name, version)
    before = find_verdict_before(connection, name, report.job_id if first is None else first)
    known = max(find_usable(connection, name).newest, default=None)
    return Probation(
        has_previous=find_previous_champion(connection, name, version) is not None,
        nights=nights,
        days=days_between(connection, first, night),
        is_proven=promotion is not None and promotion.who == GATE and bool(promotion.made),
        was_moving=before is not None and before is not Verdict.STABLE,
        outcome_nights=None if known is None else count_nights_after(connection, name, known),
        outcome_days=None if known is None else days_between(connection, known, night),
    )


def _take_back(connection: Connection, report: DriftReport, state: RetrainingState) -> None:
    why = f"job {report.job_id} drifted in the first nights of {report.model_version}"
    figures = {"verdict": report.verdict, "job": report.job_id, "report": report.figures}
    roll_back_within(connection, report.portfolio, who=WHO, why=why, figures=figures)
    change_retraining(connection, report.portfolio, failures=state.failures + 1, last_night_id=report.job_id)


def _watch_champion(connection: Connection, definition: PortfolioDefinition, state: RetrainingState) -> int | None:
    name = definition.name
    champion = find_champion(connection, name)
    if champion is None or has_open_fine_tuning(connection, name):
        return None
    before = find_previous_champion(connection, name, champion.version)
    learned = find_model(connection, champion.version).learned_until
    seen = max(learned.outcome_id, state.watched_outcome_id or 0)
    if before is None or count_new(connection, name, after_id=seen)[1] < definition.retraining.gate.least_bad:
        return None
    # All outcomes since it learned are compared, those of earlier looks too.
    options = {"version": champion.version, "before": before, "after_outcome": learned.outcome_id}
    return insert_job(connection, JobRequest(JobKind.FINE_TUNING, name, WHO, options, task=JobTask.WATCH))


def _answer_outcomes(connection: Connection, definition: PortfolioDefinition, state: RetrainingState) -> int | None:
    """Retrain if the newest outcomes of the champion's own nights contradict its scores, even if these are stable."""
    champion = find_champion(connection, definition.name)
    newest = None if champion is None else find_newest_night(connection, definition.name, champion.version)
    if champion is None or newest is None:
        return None
    difference = deviation_of(connection, definition.name, champion.version).told
    if difference is None:
        return None
    # The cool-down runs from tonight, not from the earlier night of the outcomes.
    night, policy = find_job(connection, newest), definition.retraining
    policy = replace(policy, when_drifted=policy.when_outcomes_differ, without_outcomes=WithoutOutcomes.ALERT)
    answer, why = answer_drift(_situation(connection, night, state, stable_night=0), policy)
    return _act(connection, night, state, answer, f"{difference}; {why}", stable_night=0)


def _count_learnable(connection: Connection, night: Job, state: RetrainingState, *, stable_night: int) -> int:
    """Bad outcomes of nights after `stable_night` that neither the champion nor the last retraining was trained on."""
    assert night.model_version is not None, "a scoring job must have a model version"
    learned = find_model(connection, night.model_version).learned_until
    return _count_unlearned(connection, night.definition, learned, state, after_job=stable_night)[1]


def _count_unlearned(
    connection: Connection,
    definition: PortfolioDefinition,
    learned: LearnedUntil,
    state: RetrainingState,
    *,
    after_job: int = 0,
) -> tuple[int, int]:
    """Outcomes that neither the champion nor the last retraining was trained on, and bad ones among them.

    The source's target counts if it has a date and is final.
    """
    after_id, newest = max(learned.outcome_id, state.tried_outcome_id or 0), max(learned.as_of, state.tried_as_of or "")
    known, bad = count_new(connection, definition.name, after_id=after_id, after_job=after_job)
    own, own_bad = 0, 0
    if newest:
        until = find_maturity(connection, definition).until
        own, own_bad = count_labelled(connection, definition, newest, until=until)
    return known + own, bad + own_bad


def _refresh(connection: Connection, definition: PortfolioDefinition, state: RetrainingState) -> int | None:
    """Ask for a refit, without any drift, once the outcomes have grown enough since the last training."""
    name, policy = definition.name, definition.retraining
    champion = find_champion(connection, name)
    if champion is None or policy.refresh is None or state.is_held or has_open_fine_tuning(connection, name):
        return None
    model = find_model(connection, champion.version)
    known = max(model.learned_records or 0, state.tried_records or 0)
    new, new_bad = _count_unlearned(connection, definition, model.learned_until, state)
    newest = find_newest_night(connection, name)
    tried = _count_nights_since_training(connection, name)
    is_due = is_due_for_refresh(policy, known=known, new=new, new_bad=new_bad, nights_since_training=tried)
    if newest is None or not is_due:
        return None
    if _count_this_month(connection, find_job(connection, newest)) >= policy.monthly_cap:
        return None
    options = {"challengers": ["refit"], NIGHT_JOB: newest}
    job_id = insert_job(connection, JobRequest(JobKind.FINE_TUNING, name, WHO, options, task=JobTask.FINE_TUNE))
    why = f"{counted(new, 'new outcome')} beside the {known:,} learned from: a refit"
    record_event(connection, "retraining.asked", who=WHO, why=why, job_id=newest, portfolio=name)
    logger.info("Refresh: portfolio %s, job %d: %s.", name, job_id, why)
    return job_id


def _count_this_month(connection: Connection, night: Job) -> int:
    """Count the trainings of the month before a night, by the book's calendar."""
    nights = list_training_nights(connection, night.portfolio)
    return count_in_month(days_between(connection, one, night) for one in nights)


def _count_nights_since_training(connection: Connection, portfolio: str) -> int | None:
    newest = list_training_nights(connection, portfolio, most=1)
    return count_nights_after(connection, portfolio, newest[0]) if newest else None


def _act(
    connection: Connection, night: Job, state: RetrainingState, answer: Answer, why: str, *, stable_night: int
) -> int | None:
    job_id = None
    if answer is not Answer.ALERT:
        job_id = insert_follow_up(connection, JobTask(answer), night, {"after_job": stable_night})
    if job_id is not None:
        changed = {"last_job_id": job_id, "last_night_id": night.id, "failures": state.failures + 1}
        change_retraining(connection, night.portfolio, **changed)
    event = "retraining.alert" if job_id is None else "retraining.asked"
    record_event(connection, event, who=WHO, why=why, job_id=night.id, portfolio=night.portfolio)
    logger.info("Drift answered: job %d, %s: %s.", night.id, answer if job_id else Answer.ALERT, why)
    return job_id
