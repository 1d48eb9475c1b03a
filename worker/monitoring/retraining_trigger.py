"""Answers a monitored night with a fine-tuning, a gate, a rollback or nothing. A pure function decides."""

from dataclasses import dataclass, replace
from enum import StrEnum
from logging import getLogger

from db.connections.engine import Connection
from db.events.event_log import record_event
from db.events.wording import counted
from db.ledger.job_lifecycle import Job, JobRequest, find_job, insert_follow_up, insert_job
from db.monitoring.drift_reports import DriftReport
from db.portfolios.definition import PortfolioDefinition
from db.portfolios.retraining_policy import RetrainingPolicy, WhenDrifted, WithoutOutcomes
from db.registry.champions import find_champion
from db.registry.versions import find_model
from db.retraining.outcomes import count_new_bad
from db.retraining.promotion import find_previous_champion, roll_back_within
from db.retraining.retraining_state import (
    RetrainingState,
    change_retraining,
    count_champion_nights,
    count_fine_tunings,
    count_nights_after,
    count_shadow_nights,
    find_challengers,
    find_last_stable_night,
    find_newest_night,
    has_open_fine_tuning,
    lock_retraining,
)
from db.retraining.vintages import find_champion_vintages
from db.schema.states import JobKind, JobTask, Verdict
from db.sources.source_table import count_newer_bad
from worker.monitoring.outcome_deviation import Level, newest_level, tell_difference

logger = getLogger(__name__)

WHO = "monitor"


class Answer(StrEnum):
    """The trigger's answer."""

    FINE_TUNE = JobTask.FINE_TUNE
    PRETRAIN = JobTask.PRETRAIN
    ALERT = "alert"


@dataclass(frozen=True)
class Situation:
    """The situation after a night has drifted."""

    is_held: bool
    is_in_flight: bool
    has_challenger: bool
    nights_since_last: int | None  # since the night that triggered the last fine-tuning; None = there was none
    failures: int
    fine_tunings_this_month: int
    new_bad_outcomes: int


def follow_up(connection: Connection, job: Job, report: DriftReport) -> int | None:
    """Act on a report in the transaction that stores it; return the id of the requested job.

    `job` is the monitoring job. Call it only for a report that was stored just now. A night that was not scored by the
    champion, or whose pipeline was broken, triggers nothing. A champion on probation is rolled back by a night
    that has drifted; otherwise a waiting challenger is judged when its shadow nights are complete, and a drifted
    night may ask for a fine-tuning.
    """
    champion = find_champion(connection, report.portfolio)
    if champion is None or champion.version != report.model_version or report.verdict is Verdict.BROKEN_PIPELINE:
        return None
    state = lock_retraining(connection, report.portfolio)
    policy = job.definition.retraining
    if report.verdict is Verdict.DRIFTED and _is_on_probation(connection, report, policy):
        return _take_back(connection, report, state)
    if report.verdict is Verdict.STABLE:
        _end_cool_down(connection, report, state, policy)
    asked = judge_waiting(connection, job.definition, state)
    if asked is not None or report.verdict is not Verdict.DRIFTED:
        return asked
    night = find_job(connection, report.job_id)
    # Outcomes of the quiet nights before teach nothing about a population that moved.
    stable_night = find_last_stable_night(connection, night.portfolio)
    answer, why = answer_drift(_situation(connection, night, state, stable_night=stable_night), policy)
    return _act(connection, night, state, answer, why, stable_night=stable_night)


def follow_outcomes(connection: Connection, definition: PortfolioDefinition) -> int | None:
    """Act on new outcomes: judge a waiting challenger, watch a new champion, or fine-tune again.

    Returns the id of the requested job, in the caller's transaction.
    """
    state = lock_retraining(connection, definition.name)
    for answer in (judge_waiting, _watch_champion, _answer_outcomes):
        asked = answer(connection, definition, state)
        if asked is not None:
            return asked
    return None


def judge_waiting(connection: Connection, definition: PortfolioDefinition, state: RetrainingState) -> int | None:
    """Submit a gate job if a challenger is waiting and there is evidence that it has not been judged on."""
    name, policy = definition.name, definition.retraining
    waiting = find_challengers(connection, name)
    if not waiting or state.is_held or has_open_fine_tuning(connection, name):
        return None
    version, wanted = waiting[0].version, policy.shadow_nights
    nights = count_shadow_nights(connection, version)
    if nights < wanted:
        return None
    new_bad = count_new_bad(connection, name, after_id=waiting[0].judged_outcome_id or 0)
    if waiting[0].was_judged(shadow_nights=nights, wanted=wanted) and new_bad < policy.gate.least_bad:
        return None
    request = JobRequest(JobKind.FINE_TUNING, name, WHO, {"version": version}, task=JobTask.GATE)
    return insert_job(connection, request)


def answer_drift(situation: Situation, policy: RetrainingPolicy) -> tuple[Answer, str]:
    """Return the answer to a drifted night, and the reason as a sentence."""
    cool_down = cool_down_nights(policy, situation.failures)
    refusals = (
        (policy.when_drifted is WhenDrifted.ALERT, "the portfolio asks for an alert only"),
        (situation.is_held, "the portfolio is on hold"),
        (situation.is_in_flight, "a fine-tuning is already running"),
        (situation.has_challenger, "a challenger has not finished its shadow nights"),
        (
            situation.nights_since_last is not None and situation.nights_since_last < cool_down,
            f"{situation.nights_since_last} of {counted(cool_down, 'cool-down night')} have passed",
        ),
        (
            situation.fine_tunings_this_month >= policy.monthly_cap,
            f"{situation.fine_tunings_this_month} fine-tunings in 30 days; the limit is {policy.monthly_cap}",
        ),
    )
    for is_so, why in refusals:
        if is_so:
            return Answer.ALERT, why
    learned = f"{counted(situation.new_bad_outcomes, 'new bad outcome')}, {policy.least_bad_outcomes:,} are needed"
    if situation.new_bad_outcomes >= policy.least_bad_outcomes:
        return Answer.FINE_TUNE, learned
    if policy.without_outcomes is WithoutOutcomes.PRETRAIN:
        return Answer.PRETRAIN, learned
    return Answer.ALERT, learned


def cool_down_nights(policy: RetrainingPolicy, failures: int) -> int:
    """Return the nights between two fine-tunings: doubled for every further consecutive one without success."""
    return policy.cool_down_nights * 2 ** min(max(0, failures - 1), 10)


def _situation(connection: Connection, night: Job, state: RetrainingState, *, stable_night: int) -> Situation:
    name = night.portfolio
    since = None if state.last_night_id is None else count_nights_after(connection, name, state.last_night_id)
    return Situation(
        is_held=state.is_held,
        is_in_flight=has_open_fine_tuning(connection, name),
        has_challenger=_is_in_shadow(connection, night.definition),
        nights_since_last=since,
        failures=state.failures,
        fine_tunings_this_month=count_fine_tunings(connection, name),
        new_bad_outcomes=_count_learnable(connection, night, state, stable_night=stable_night),
    )


def _is_in_shadow(connection: Connection, definition: PortfolioDefinition) -> bool:
    waiting = find_challengers(connection, definition.name)
    nights = definition.retraining.shadow_nights
    return bool(waiting) and nights > 0 and count_shadow_nights(connection, waiting[0].version) < nights


def _is_on_probation(connection: Connection, report: DriftReport, policy: RetrainingPolicy) -> bool:
    """Whether the champion is new and there is a previous one; this night's report is already counted."""
    if find_previous_champion(connection, report.portfolio, report.model_version) is None:
        return False
    return count_champion_nights(connection, report.portfolio) <= policy.probation_nights


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
    known = max(learned.outcome_id, state.tried_outcome_id or 0, state.watched_outcome_id or 0)
    if before is None or count_new_bad(connection, name, after_id=known) < definition.retraining.gate.least_bad:
        return None
    options = {"version": champion.version, "before": before, "after_outcome": known}
    return insert_job(connection, JobRequest(JobKind.FINE_TUNING, name, WHO, options, task=JobTask.WATCH))


def _answer_outcomes(connection: Connection, definition: PortfolioDefinition, state: RetrainingState) -> int | None:
    """Fine-tune if the newest outcomes of the champion's own nights contradict its scores, even if these are stable."""
    champion = find_champion(connection, definition.name)
    newest = None if champion is None else find_newest_night(connection, definition.name, champion.version)
    if champion is None or newest is None:
        return None
    known = find_champion_vintages(connection, definition.name, champion.version)
    difference = tell_difference(
        newest_level(Level(one.outcomes, one.bad, one.outcomes * one.figures["expected_bad_rate"]) for one in known)
    )
    if difference is None:
        return None
    # The cool-down runs from tonight, not from the earlier night of the outcomes.
    night, policy = find_job(connection, newest), definition.retraining
    policy = replace(policy, when_drifted=policy.when_outcomes_differ, without_outcomes=WithoutOutcomes.ALERT)
    answer, why = answer_drift(_situation(connection, night, state, stable_night=0), policy)
    return _act(connection, night, state, answer, f"{difference}; {why}", stable_night=0)


def _count_learnable(connection: Connection, night: Job, state: RetrainingState, *, stable_night: int) -> int:
    """Bad outcomes of nights after `stable_night` that neither the champion nor the last fine-tuning was trained on.

    The source's target counts if it has a date.
    """
    assert night.model_version is not None, "a scoring job must have a model version"
    learned = find_model(connection, night.model_version).learned_until
    after_id = max(learned.outcome_id, state.tried_outcome_id or 0)
    newest = max(learned.as_of, state.tried_as_of or "")
    return count_new_bad(connection, night.portfolio, after_id=after_id, after_job=stable_night) + (
        count_newer_bad(connection, night.definition, newest) if newest else 0
    )


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


def _end_cool_down(
    connection: Connection, report: DriftReport, state: RetrainingState, policy: RetrainingPolicy
) -> None:
    """Reset the failures once the last fine-tuning's model has a stable night, or the cool-down has passed quietly."""
    if not state.failures:
        return
    is_cured = find_model(connection, report.model_version).job_id == state.last_job_id
    nights = count_nights_after(connection, report.portfolio, state.last_night_id)
    if is_cured or nights >= cool_down_nights(policy, state.failures):
        change_retraining(connection, report.portfolio, failures=0)
