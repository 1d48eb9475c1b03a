"""Whether a drifted night takes a new champion back to the one before. Pure.

That the scores are distributed otherwise than the reference says that the world has moved, not that the new champion is
worse than the one before: where the world moves every night, every good refit would be taken back. So a champion that
the gate promoted by later outcomes is judged by its own outcomes: it is watched, and taken back if they are worse than
those of the one before. A drifted night decides only where nobody has proven anything, or where outcomes come too late.
A night whose pipeline may be broken is no other: that speaks neither for the new champion nor for the one before.
"""

from dataclasses import dataclass

from db.portfolios.retraining_policy import MONTH_DAYS, RetrainingPolicy


@dataclass(frozen=True)
class Probation:
    """The champion in a night that has drifted. Ages count up to this night, days by the book's calendar.

    `nights` are those that it has scored, with this one; `days` are those since its first. `is_proven`: the gate
    promoted it by outcomes later than its training. `was_moving`: the night before its first was not stable.
    `outcome_nights` and `outcome_days` are the age of the newest night with usable outcomes; None without any.
    """

    has_previous: bool
    nights: int
    days: int
    is_proven: bool = False
    was_moving: bool = False
    outcome_nights: int | None = None
    outcome_days: int | None = None


def is_taken_back(champion: Probation, policy: RetrainingPolicy) -> bool:
    """Whether the previous champion is restored.

    The first night is always on probation; later ones are until there were enough, or a month has passed.
    """
    is_over = champion.nights > policy.probation_nights or (champion.nights > 1 and champion.days > MONTH_DAYS)
    if not champion.has_previous or is_over:
        return False
    return not (champion.is_proven and (champion.was_moving or _is_watched_in_time(champion, policy)))


def _is_watched_in_time(champion: Probation, policy: RetrainingPolicy) -> bool:
    """Whether the outcomes of this night will probably be known within the length of a probation."""
    nights, days = champion.outcome_nights, champion.outcome_days
    is_within_nights = nights is not None and nights <= policy.probation_nights
    return is_within_nights or (days is not None and days <= MONTH_DAYS)
