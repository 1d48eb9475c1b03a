"""What a portfolio's loop will do next, and when. Pure: the policy and numbers go in, a sentence and a date come out.

Dates are those of the book: of its nights and of its outcomes. A rate is measured between dates, so that outcomes that
arrive once a month give the same rate as outcomes that arrive every day.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum

from db.events.wording import counted
from db.portfolios.retraining_policy import RetrainingPolicy, WhenDrifted, WithoutOutcomes

_MONTH_DAYS = 30
_FARTHEST_DAYS = 36_500


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
class Arrival:
    """How many outcomes became known on one date."""

    on: date
    outcomes: int
    bad: int


@dataclass(frozen=True)
class WaitingChallenger:
    """The newest challenger. `new_bad` counts the bad outcomes since it was judged; `is_judged` says if it ever was."""

    version: str
    shadow_nights: int
    is_judged: bool
    new_bad: int


@dataclass(frozen=True)
class LoopState:
    """Everything that decides what comes next. `learned_records` is None if a model of an older release says nothing.

    `new_outcomes` are those that neither the champion nor the last training could learn from; `new_bad_in_all` are the
    bad ones among them, and `new_bad` those of nights after the last stable one. `nights` and `arrivals` are the
    newest, oldest first. `days_since_last` are by the book's calendar.
    """

    champion: str | None
    is_held: bool = False
    running: str | None = None  # the unfinished job, such as "job 14 (fine_tune, running)"
    challenger: WaitingChallenger | None = None
    failures: int = 0
    nights_since_last: int | None = None
    days_since_last: int = 0
    trained_this_month: tuple[date, ...] = ()
    learned_records: int | None = None
    new_outcomes: int = 0
    new_bad: int = 0
    new_bad_in_all: int = 0
    is_drifted: bool = False
    nights: Sequence[date] = ()
    arrivals: Sequence[Arrival] = ()

    @property
    def today(self) -> date | None:
        """The date by the book's calendar; None before its first night and outcome."""
        return find_today(self.nights, self.arrivals)


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


def find_today(nights: Sequence[date], arrivals: Sequence[Arrival]) -> date | None:
    """Return the later of the newest night's date and the newest outcome's; both are oldest first."""
    return max((*nights[-1:], *(one.on for one in arrivals[-1:])), default=None)


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
    if state.challenger is not None:
        return _judge_next(state, state.challenger, policy)
    wanted = _train_next(state, policy)
    blocked = [one for one in (_monthly_cap(state, policy), _cool_down(state, policy)) if one is not None]
    later = [one for one in blocked if wanted.kind is NextKind.ALARM or _is_later(one, wanted)]
    return max(later, key=lambda one: one.expected_date or date.min) if later else wanted


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


def _train_next(state: LoopState, policy: RetrainingPolicy) -> NextLook:
    """The next training: by a drifted night that waits for outcomes, or by the growth of the outcomes."""
    lacking = policy.least_bad_outcomes - state.new_bad
    waits = policy.when_drifted is WhenDrifted.FINE_TUNE and policy.without_outcomes is WithoutOutcomes.ALERT
    if state.is_drifted and waits and lacking > 0:
        why = (
            f"the newest night has drifted; {state.new_bad:,} of "
            f"{counted(policy.least_bad_outcomes, 'new bad outcome')} are known"
        )
        return _after_bad(state, NextLook(NextKind.DRIFT, why, bad_needed=lacking))
    if policy.refresh is None:
        starts = "only drift or outcomes that differ from the scores start a training"
        nothing = "the portfolio asks for alerts only, so no training starts by itself"
        return NextLook(NextKind.ALARM, starts if _trains_at_alarms(policy) else nothing)
    if not state.learned_records:
        why = "the champion does not record how many outcomes it learned from; the next training will"
        return NextLook(NextKind.ALARM, why)
    growth = math.ceil(policy.refresh * state.learned_records)
    why = (
        f"a training is due when the outcomes have grown by {policy.refresh:.0%}: {state.new_outcomes:,} of "
        f"{growth:,} are new since {state.learned_records:,} were learned from"
    )
    lacking = policy.bad_for_refresh - state.new_bad_in_all
    if state.new_outcomes >= growth and lacking > 0:
        why += f"; {counted(lacking, 'more bad outcome')} must be known to judge it"
        return _after_bad(state, NextLook(NextKind.REFRESH, why, bad_needed=lacking))
    if state.new_outcomes >= growth:
        return _after_nights(state, NextLook(NextKind.REFRESH, why, nights_needed=1))
    needed = growth - state.new_outcomes
    per_day = _rate(state, [one.outcomes for one in state.arrivals])
    return NextLook(
        NextKind.REFRESH, why, outcomes_needed=needed, expected_date=_date_of_outcomes(state, needed, per_day)
    )


def _monthly_cap(state: LoopState, policy: RetrainingPolicy) -> NextLook | None:
    count = len(state.trained_this_month)
    if count < policy.monthly_cap:
        return None
    why = f"{counted(count, 'fine-tuning')} in 30 days; the limit is {policy.monthly_cap}"
    # A cap of 0 never ends; otherwise as many must be older than 30 days as bring the count below the cap.
    ends = sorted(state.trained_this_month)[count - policy.monthly_cap] if policy.monthly_cap else None
    return NextLook(
        NextKind.MONTHLY_CAP, why, expected_date=None if ends is None else ends + timedelta(days=_MONTH_DAYS)
    )


def _cool_down(state: LoopState, policy: RetrainingPolicy) -> NextLook | None:
    nights = policy.cool_down(state.failures)
    if state.nights_since_last is None or max(state.nights_since_last, state.days_since_last) >= nights:
        return None
    why = f"{state.nights_since_last} of {counted(nights, 'cool-down night')} have passed"
    look = NextLook(NextKind.COOL_DOWN, why, nights_needed=nights - state.nights_since_last)
    return _after_nights(state, look)


def _is_later(block: NextLook, wanted: NextLook) -> bool:
    """Whether a block lasts longer than the wait; a known date comes before an unknown one."""
    if wanted.expected_date is None:
        return False
    return block.expected_date is None or block.expected_date > wanted.expected_date


def _after_nights(state: LoopState, look: NextLook) -> NextLook:
    assert look.nights_needed is not None, "only called with a number"
    distinct = sorted(set(state.nights))
    if len(distinct) < 2:
        return look
    gap = (distinct[-1] - distinct[0]).days / (len(distinct) - 1)
    return replace(look, expected_date=_move(distinct[-1], look.nights_needed * gap))


def _after_bad(state: LoopState, look: NextLook) -> NextLook:
    assert look.bad_needed is not None, "only called with a number"
    outcomes, bad = sum(one.outcomes for one in state.arrivals), sum(one.bad for one in state.arrivals)
    in_all = math.ceil(look.bad_needed * outcomes / bad) if bad else None
    per_day = _rate(state, [one.bad for one in state.arrivals])
    return replace(look, outcomes_needed=in_all, expected_date=_date_of_outcomes(state, look.bad_needed, per_day))


def _rate(state: LoopState, counts: list[int]) -> float | None:
    """Outcomes per day. What came on the first date belongs to the time before it, of which nothing is known.

    With one date of outcomes alone, the time since the first known night is taken.
    """
    if len(state.arrivals) > 1:
        days = (state.arrivals[-1].on - state.arrivals[0].on).days
        return sum(counts[1:]) / days if days else None
    if not state.arrivals or not state.nights:
        return None
    days = (state.arrivals[0].on - state.nights[0]).days
    return counts[0] / days if days > 0 else None


def _date_of_outcomes(state: LoopState, needed: int, per_day: float | None) -> date | None:
    """The date by which so many more are known at the rate so far, but not before today; None if none arrive."""
    if not per_day or state.today is None:
        return None
    due = _move(state.arrivals[-1].on, needed / per_day)
    return None if due is None else max(due, state.today)


def _move(day: date, days: float) -> date | None:
    """The date so many days later; None beyond a century, which is no forecast."""
    return None if days > _FARTHEST_DAYS else day + timedelta(days=math.ceil(days - 1e-9))
