"""What follows a monitored night: a fine-tuning, a gate, a rollback, or nothing. Decided by a pure function."""

from dataclasses import dataclass
from enum import StrEnum
from logging import getLogger

from db.drift_reports import DriftReport
from db.engine import Connection
from db.events import record_event
from db.jobs import Job, find_job, insert_follow_up
from db.outcomes import count_new_bad
from db.registry import find_champion, find_model
from db.retraining import (
    RetrainingState,
    change_retraining,
    count_fine_tunings,
    count_nights_after,
    has_open_fine_tuning,
    lock_retraining,
)
from db.retraining_policy import RetrainingPolicy, WhenDrifted, WithoutOutcomes
from db.sources import count_newer_bad
from db.states import JobKind, Verdict

logger = getLogger(__name__)

WHO = "monitor"


class Answer(StrEnum):
    """What the trigger says of a drifted night."""

    FINE_TUNE = "fine_tune"
    PRETRAIN = "pretrain"
    ALERT = "alert"


@dataclass(frozen=True)
class Situation:
    """What is known when a night has drifted."""

    is_held: bool
    is_in_flight: bool
    has_challenger: bool
    nights_since_last: int | None  # since the night that asked for the last fine-tuning; None = there was none
    failures: int
    fine_tunings_this_month: int
    new_bad_outcomes: int


def follow_up(connection: Connection, job: Job, report: DriftReport) -> int | None:
    """Act on a report in the transaction that stores it; return the id of the fine-tuning job that it asked for.

    `job` is the monitoring job. Call it only for a report that was stored just now. A night that was not scored by the
    champion, or whose pipeline was broken, is followed by nothing.
    """
    champion = find_champion(connection, report.portfolio)
    if champion is None or champion.version != report.model_version or report.verdict is Verdict.BROKEN_PIPELINE:
        return None
    state = lock_retraining(connection, report.portfolio)
    policy = job.definition.retraining
    if report.verdict is Verdict.STABLE:
        _calm_down(connection, report, state, policy)
    if report.verdict is not Verdict.DRIFTED:
        return None
    night = find_job(connection, report.job_id)
    answer, why = answer_drift(_situation(connection, night, state), policy)
    return _act(connection, night, state, answer, why)


def answer_drift(seen: Situation, policy: RetrainingPolicy) -> tuple[Answer, str]:
    """Return what follows a drifted night, and why in a sentence."""
    cool_down = cool_down_nights(policy, seen.failures)
    refusals = (
        (policy.when_drifted is WhenDrifted.ALERT, "the portfolio asks for an alert alone"),
        (seen.is_held, "the portfolio is held"),
        (seen.is_in_flight, "a fine-tuning is in flight"),
        (seen.has_challenger, "a challenger waits for evidence"),
        (
            seen.nights_since_last is not None and seen.nights_since_last < cool_down,
            f"{seen.nights_since_last} of {cool_down} nights of cool-down have passed",
        ),
        (
            seen.fine_tunings_this_month >= policy.monthly_cap,
            f"{seen.fine_tunings_this_month} fine-tunings in 30 days, the cap is {policy.monthly_cap}",
        ),
    )
    for is_so, why in refusals:
        if is_so:
            return Answer.ALERT, why
    learned = f"{seen.new_bad_outcomes} new bad outcomes, {policy.least_bad_outcomes} are needed"
    if seen.new_bad_outcomes >= policy.least_bad_outcomes:
        return Answer.FINE_TUNE, learned
    if policy.without_outcomes is WithoutOutcomes.PRETRAIN:
        return Answer.PRETRAIN, learned
    return Answer.ALERT, learned


def cool_down_nights(policy: RetrainingPolicy, failures: int) -> int:
    """Return the nights between two fine-tunings: doubled for every one in a row that cured nothing, but the first."""
    return policy.cool_down_nights * 2 ** min(max(0, failures - 1), 10)


def _situation(connection: Connection, night: Job, state: RetrainingState) -> Situation:
    name = night.portfolio
    since = None if state.last_night_id is None else count_nights_after(connection, name, state.last_night_id)
    return Situation(
        is_held=state.is_held,
        is_in_flight=has_open_fine_tuning(connection, name),
        has_challenger=False,
        nights_since_last=since,
        failures=state.failures,
        fine_tunings_this_month=count_fine_tunings(connection, name),
        new_bad_outcomes=_count_learnable(connection, night, state),
    )


def _count_learnable(connection: Connection, night: Job, state: RetrainingState) -> int:
    """Bad outcomes that neither champion nor last fine-tuning knew: from files, and from the source's target."""
    assert night.model_version is not None, "a scoring job is submitted with its model version"
    learned = find_model(connection, night.model_version).learned_until or {}
    after_id = max(int(learned.get("outcome_id") or 0), state.tried_outcome_id)
    newest = max(str(learned.get("as_of") or ""), str((state.tried_until or {}).get("as_of") or ""))
    return count_new_bad(connection, night.portfolio, after_id=after_id) + (
        count_newer_bad(connection, night.definition, newest) if newest else 0
    )


def _act(connection: Connection, night: Job, state: RetrainingState, answer: Answer, why: str) -> int | None:
    job_id = None
    if answer is not Answer.ALERT:
        job_id = insert_follow_up(connection, JobKind.FINE_TUNING, night, {"task": answer})
    if job_id is not None:
        changed = {"last_job_id": job_id, "last_night_id": night.id, "failures": state.failures + 1}
        change_retraining(connection, night.portfolio, **changed)
    event = "retraining.alert" if job_id is None else "retraining.asked"
    record_event(connection, event, who=WHO, why=why, job_id=night.id, portfolio=night.portfolio)
    logger.info("Drift answered: job %d, %s: %s.", night.id, answer if job_id else Answer.ALERT, why)
    return job_id


def _calm_down(connection: Connection, report: DriftReport, state: RetrainingState, policy: RetrainingPolicy) -> None:
    """Forget failures once the last fine-tuning's own model has a stable night, or the cool-down passed quietly."""
    if not state.failures:
        return
    is_cured = find_model(connection, report.model_version).job_id == state.last_job_id
    nights = count_nights_after(connection, report.portfolio, state.last_night_id)
    if is_cured or nights >= cool_down_nights(policy, state.failures):
        change_retraining(connection, report.portfolio, failures=0)
