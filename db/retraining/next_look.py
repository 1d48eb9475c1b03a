"""What a portfolio's loop will do next, and when. Pure: policy and numbers go in, a sentence and a date come out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum

from db.events.wording import counted
from db.portfolios.retraining_policy import (
    MONTH_DAYS,
    NIGHTS_TRIED,
    RetrainingPolicy,
    WhenDrifted,
    WithoutOutcomes,
)
from db.retraining.expected_dates import Arrival, expect_night, expect_outcomes


class NextKind(StrEnum):
    """What the loop waits for."""

    NO_CHAMPION = "no_champion"
    RUNNING = "running"
    HELD = "held"
    SHADOW = "shadow_nights"
    CHALLENGER = "challenger"
    MONTHLY_CAP = "monthly_cap"
    COOL_DOWN = "cool_down"
    DRIFT = "drift"
    REFRESH = "refresh"
    ALARM = "alarm"


@dataclass(frozen=True)
class WaitingChallenger:
    """A challenger in the race. `new_bad` counts the bad outcomes since it was judged, if `is_judged` says it was."""

    version: str
    shadow_nights: int
    is_judged: bool
    new_bad: int


@dataclass(frozen=True)
class LoopState:
    """Everything that decides what comes next. `learned_records` is None if a model of an older release says nothing.

    `new_outcomes` and `new_bad` are those that neither the champion nor the last training could learn from;
    `drift_bad` are the bad ones among them of nights after the last stable one. `nights` and `arrivals` are the
    newest, oldest first; `trained_on` are the nights after which trainings were asked for, and
    `nights_since_training` counts those after the last of them.
    """

    champion: str | None
    is_held: bool = False
    running: str | None = None  # the unfinished job, such as "job 14 (fine-tune, running)"
    challengers: Sequence[WaitingChallenger] = ()
    failures: int = 0
    nights_since_last: int | None = None
    days_since_last: int = 0
    nights_since_training: int | None = None
    trained_on: Sequence[date] = ()
    learned_records: int | None = None
    new_outcomes: int = 0
    new_bad: int = 0
    drift_bad: int = 0
    is_drifted: bool = False
    nights: Sequence[date] = ()
    arrivals: Sequence[Arrival] = ()


@dataclass(frozen=True)
class NextLook:
    """What happens next, why, what has to come first, and the date on which it is expected; None = unknown.

    `can_come_earlier` says whether an alarm may start a training before that.
    """

    kind: NextKind
    why: str
    outcomes_needed: int | None = None
    bad_needed: int | None = None
    nights_needed: int | None = None
    expected_date: date | None = None
    can_come_earlier: bool = False


def next_look(state: LoopState, policy: RetrainingPolicy) -> NextLook:
    """Return what the loop does next. No date is promised for an alarm."""
    look = _find_next(state, policy)
    is_open = look.kind in (NextKind.CHALLENGER, NextKind.DRIFT, NextKind.REFRESH)
    return replace(look, can_come_earlier=is_open and _trains_at_alarms(policy))


def _trains_at_alarms(policy: RetrainingPolicy) -> bool:
    return WhenDrifted.FINE_TUNE in (policy.when_drifted, policy.when_outcomes_differ)


def _find_next(state: LoopState, policy: RetrainingPolicy) -> NextLook:
    if state.champion is None:
        return NextLook(NextKind.NO_CHAMPION, "there is no champion; the loop starts with the first promoted model")
    if state.running is not None:
        ends = "its result is only kept until the hold is released" if state.is_held else "its end brings a decision"
        return NextLook(NextKind.RUNNING, f"{state.running} is not finished; {ends}")
    if state.is_held:
        return NextLook(NextKind.HELD, "the portfolio is on hold: nothing is trained or promoted until it is released")
    cap = _monthly_cap(state, policy)
    looks = [_judge_next(state, one, policy) for one in state.challengers]
    refresh = _refresh(state, policy)
    refresh = None if refresh is None else _later(refresh, _trial(state, NIGHTS_TRIED))
    looks += [_later(one, cap) for one in (_drift(state, policy), refresh) if one is not None]
    return min(looks or [_later(_alarm(state, policy), cap)], key=lambda one: one.expected_date or date.max)


def tell_next(look: NextLook) -> str:
    """Return the look as a sentence.

    >>> tell_next(NextLook(NextKind.REFRESH, "", outcomes_needed=120, expected_date=date(2026, 12, 14)))
    'Next look: after 120 more outcomes, expected 14 December 2026.'
    """
    if look.kind in (NextKind.NO_CHAMPION, NextKind.RUNNING, NextKind.HELD):
        return f"Next look: {look.why}."
    needs = (
        None if look.bad_needed is None else counted(look.bad_needed, "more bad outcome"),
        None if look.outcomes_needed is None else _name_outcomes(look),
        None if look.nights_needed is None else counted(look.nights_needed, "more night"),
    )
    after = ", ".join(one for one in needs if one is not None)
    when = "date unknown" if look.expected_date is None else f"expected {_write_date(look.expected_date)}"
    if look.kind is NextKind.ALARM:
        return "Next look: at the next alarm; no date is set."
    return f"Next look: after {after}, {when}." if after else f"Next look: {when}."


def _name_outcomes(look: NextLook) -> str:
    assert look.outcomes_needed is not None, "only called with a number"
    if look.bad_needed is None:
        return counted(look.outcomes_needed, "more outcome")
    return f"about {counted(look.outcomes_needed, 'outcome')} in all"


def _write_date(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def _judge_next(state: LoopState, challenger: WaitingChallenger, policy: RetrainingPolicy) -> NextLook:
    name, missing = f"challenger {challenger.version}", policy.shadow_nights - challenger.shadow_nights
    if missing > 0:
        why = f"{name} has {challenger.shadow_nights} of {counted(policy.shadow_nights, 'shadow night')}"
        return _after_nights(state, NextLook(NextKind.SHADOW, why, nights_needed=missing))
    lacking = policy.gate.least_bad - challenger.new_bad
    if not challenger.is_judged or lacking <= 0:
        why = f"{name} is judged when the next night is monitored or outcomes are loaded"
        return _after_nights(state, NextLook(NextKind.CHALLENGER, why, nights_needed=1))
    why = (
        f"{name} waits for evidence: {challenger.new_bad:,} of {counted(policy.gate.least_bad, 'new bad outcome')} "
        "are known since it was judged"
    )
    return _after_bad(state, NextLook(NextKind.CHALLENGER, why, bad_needed=lacking))


def _drift(state: LoopState, policy: RetrainingPolicy) -> NextLook | None:
    """The training that a drifted night waits for; None if it waits for nothing."""
    waits = policy.when_drifted is WhenDrifted.FINE_TUNE and policy.without_outcomes is WithoutOutcomes.ALERT
    lacking = policy.least_bad_outcomes - state.drift_bad
    if not (state.is_drifted and waits and lacking > 0):
        return None
    needed = f"{state.drift_bad:,} of {counted(policy.least_bad_outcomes, 'new bad outcome')} are known"
    look = NextLook(NextKind.DRIFT, f"the newest night has drifted; {needed}", bad_needed=lacking)
    return _later(_later(_after_bad(state, look), _cool_down(state, policy)), _trial_of_alarms(state, policy))


def _refresh(state: LoopState, policy: RetrainingPolicy) -> NextLook | None:
    """The refit that growing outcomes bring; there must be enough bad ones among them to judge it."""
    if policy.refresh is None or not state.learned_records:
        return None
    growth = policy.refresh * state.learned_records
    why = (
        f"a refit is due when the outcomes have grown by {policy.refresh:.0%}: {state.new_outcomes:,} of "
        f"{math.ceil(growth):,} are new since {state.learned_records:,} were learned from"
    )
    needed, bad_needed = math.ceil(growth - state.new_outcomes), policy.bad_for_refresh - state.new_bad
    if needed <= 0 and bad_needed <= 0:
        return _after_nights(state, NextLook(NextKind.REFRESH, why, nights_needed=1))
    due = expect_outcomes(state.arrivals, state.nights, max(needed, 0))
    look = NextLook(NextKind.REFRESH, why, outcomes_needed=needed, expected_date=due)
    if bad_needed <= 0:
        return look
    of_bad = f"{why}; {state.new_bad:,} of {counted(policy.bad_for_refresh, 'bad outcome')} that judge it are known"
    bad = _after_bad(state, NextLook(NextKind.REFRESH, of_bad, bad_needed=bad_needed))
    if needed > 0 and not _is_later(bad, look):
        return look
    in_all = None if bad.outcomes_needed is None else max(bad.outcomes_needed, needed)
    return replace(bad, outcomes_needed=in_all)


def _alarm(state: LoopState, policy: RetrainingPolicy) -> NextLook:
    if not _trains_at_alarms(policy):
        return NextLook(NextKind.ALARM, "the portfolio asks for alerts only, so no training starts by itself")
    if policy.refresh is not None:
        why = "the champion does not record how many outcomes it learned from; the next training will"
        return NextLook(NextKind.ALARM, why)
    starts = "only drift or outcomes that differ from the scores start a training"
    block = _cool_down(state, policy) or _trial_of_alarms(state, policy)
    return _later(NextLook(NextKind.ALARM, starts), block)


def _monthly_cap(state: LoopState, policy: RetrainingPolicy) -> NextLook | None:
    newest = max(state.nights, default=None)
    counts = sorted(one for one in state.trained_on if newest is not None and (newest - one).days < MONTH_DAYS)
    if len(counts) < policy.monthly_cap:
        return None
    why = f"{counted(len(counts), 'training')} in {MONTH_DAYS} days; the limit is {policy.monthly_cap}"
    # A cap of 0 never ends; otherwise as many must be a month old as bring the count below the cap.
    ends = counts[len(counts) - policy.monthly_cap] + timedelta(days=MONTH_DAYS) if policy.monthly_cap else None
    return NextLook(NextKind.MONTHLY_CAP, why, expected_date=ends)


def _cool_down(state: LoopState, policy: RetrainingPolicy) -> NextLook | None:
    """The rest of the cool-down, which ends after so many nights or so many days, whichever come first."""
    whole = policy.cool_down(state.failures)
    if state.nights_since_last is None or max(state.nights_since_last, state.days_since_last) >= whole:
        return None
    why = f"{state.nights_since_last} of {counted(whole, 'cool-down night')} have passed"
    look = NextLook(NextKind.COOL_DOWN, why, nights_needed=whole - state.nights_since_last)
    by_nights, newest = _after_nights(state, look), max(state.nights, default=None)
    if newest is None:
        return by_nights
    by_days = newest + timedelta(days=whole - state.days_since_last)
    return replace(by_nights, expected_date=min(by_nights.expected_date or by_days, by_days))


def _trial_of_alarms(state: LoopState, policy: RetrainingPolicy) -> NextLook | None:
    return _trial(state, policy.nights_between(state.failures))


def _trial(state: LoopState, nights: int) -> NextLook | None:
    """The rest of the nights in which the last training's model is tried."""
    tried = state.nights_since_training
    if tried is None or tried >= nights:
        return None
    why = f"{tried} of {counted(nights, 'night')} since the last training have passed"
    return _after_nights(state, NextLook(NextKind.COOL_DOWN, why, nights_needed=nights - tried))


def _later(wanted: NextLook, block: NextLook | None) -> NextLook:
    """The wait, or what blocks it for longer."""
    if block is None:
        return wanted
    return block if wanted.kind is NextKind.ALARM or _is_later(block, wanted) else wanted


def _is_later(block: NextLook, wanted: NextLook) -> bool:
    """Whether the one lasts longer than the other; an unknown date is later than any known one."""
    if wanted.expected_date is None:
        return False
    return block.expected_date is None or block.expected_date > wanted.expected_date


def _after_nights(state: LoopState, look: NextLook) -> NextLook:
    assert look.nights_needed is not None, "only called with a number"
    return replace(look, expected_date=expect_night(state.nights, look.nights_needed))


def _after_bad(state: LoopState, look: NextLook) -> NextLook:
    assert look.bad_needed is not None, "only called with a number"
    outcomes, bad = sum(one.outcomes for one in state.arrivals), sum(one.bad for one in state.arrivals)
    in_all = math.ceil(look.bad_needed * outcomes / bad) if bad else None
    due = expect_outcomes(state.arrivals, state.nights, look.bad_needed, only_bad=True)
    return replace(look, outcomes_needed=in_all, expected_date=due)
