"""When to retrain: the answer to a night that drifted, the cool-down, the refresh without drift. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from db.events.wording import counted
from db.portfolios.retraining_policy import (
    MONTH_DAYS,
    NIGHTS_TRIED,
    RetrainingPolicy,
    WhenDrifted,
    WithoutOutcomes,
)
from db.schema.states import JobTask, Verdict
from worker.gate.outcome_deviation import Deviation


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
    nights_since_training: int | None  # since the night of the last training of any kind; None = there was none
    days_since_last: int  # the same, by the book's calendar
    failures: int
    fine_tunings_this_month: int
    new_bad_outcomes: int


def answer_drift(situation: Situation, policy: RetrainingPolicy) -> tuple[Answer, str]:
    """Return the answer to a drifted night, and the reason as a sentence."""
    cool_down, least_nights = policy.cool_down(situation.failures), policy.nights_between(situation.failures)
    tried = situation.nights_since_training
    refusals = (
        (policy.when_drifted is WhenDrifted.ALERT, "the portfolio asks for an alert only"),
        (situation.is_held, "the portfolio is on hold"),
        (situation.is_in_flight, "a fine-tuning is already running"),
        (situation.has_challenger, "a challenger has not finished its shadow nights"),
        (
            situation.nights_since_last is not None
            and max(situation.nights_since_last, situation.days_since_last) < cool_down,
            f"{situation.nights_since_last} of {counted(cool_down, 'cool-down night')} have passed",
        ),
        (
            tried is not None and tried < least_nights,
            f"{tried} of {counted(least_nights, 'night')} since the last training have passed",
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


def is_due_for_refresh(
    policy: RetrainingPolicy, *, known: int, new: int, new_bad: int, nights_since_training: int | None = None
) -> bool:
    """Whether so many new outcomes have come since `known` ones were learned from that a refit is worth its time.

    There must be so many bad ones among them that those held out can judge it. The last training's model is tried for
    some nights first.
    """
    if policy.refresh is None or not known:
        return False
    if nights_since_training is not None and nights_since_training < NIGHTS_TRIED:
        return False
    return new >= policy.refresh * known and new_bad >= policy.bad_for_refresh


def is_calm(verdict: Verdict, deviation: Deviation, *, has_outcomes: bool, is_cool_down_over: bool) -> bool:
    """Whether the alarms are over: the newest night has not drifted, and its model's outcomes match its scores.

    A book without outcomes is calm when the cool-down has passed and a night is stable.
    """
    if verdict is Verdict.DRIFTED:
        return False
    if deviation.is_known or has_outcomes:
        return deviation.is_known and deviation.told is None
    return verdict is Verdict.STABLE and is_cool_down_over


def count_in_month(days_ago: Iterable[int]) -> int:
    """Count the trainings of the month before a night, from the days since each of them."""
    return sum(days < MONTH_DAYS for days in days_ago)
