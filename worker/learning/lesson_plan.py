"""Plans a fine-tuning: which labelled records a challenger is trained on, and which later ones judge it. Pure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from db.portfolios.retraining_policy import JUDGED_SHARE

JUDGING_SHARE = 0.3  # share of the new records that judges the challenger: the newest, by whole dates
MOST_JUDGING = 0.7  # of the new records: with more, too little is left to learn from
RANDOM_SHARE = JUDGED_SHARE  # of the new records, where they have no two dates to part them by
STOP_SHARE = 0.25  # share of the earlier new records that decides early stopping: the newest
OLD_JUDGING_SHARE = 0.15  # share of the old records, chosen by a hash of the key; training holds out the same ones
NO_ROWS = np.zeros(0, dtype=np.int64)
REPLAY_PER_NEW = 1.0  # old records for each new one
MOST_OLD_JUDGING = 20_000

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class TrainingPlan:
    """Row numbers of each part; `learned_date` is the newest date trained on, `judging_date` the first that judges.

    `is_random`: the judging part was drawn from the new records by a hash, because they have no two dates.
    """

    learn: Rows
    stop: Rows
    judging: Rows
    replay: Rows
    old_judging: Rows
    learned_date: str
    judging_date: str
    is_random: bool = False


def plan_training(
    dates: NDArray[np.str_], is_new: NDArray[np.bool_], is_old: NDArray[np.bool_], order: NDArray[np.float64]
) -> TrainingPlan:
    """Plan a fine-tuning on N records; `order` is a number in [0, 1) from a hash of each key.

    The judging part is later than every record trained on. If nearly all new records have one date, it is a share of
    them by the hash: no challenger has learned from these either.
    """
    new = np.flatnonzero(is_new)
    judging_date = first_date_of_latest(dates[new], JUDGING_SHARE)
    is_judging = is_new & (dates >= judging_date) if judging_date else np.zeros(len(dates), dtype=bool)
    is_random = int(is_judging.sum()) > MOST_JUDGING * len(new) or not judging_date
    if is_random:
        is_judging = is_new & (order < RANDOM_SHARE)
        judging_date = str(min(dates[is_judging].tolist(), default=""))
    rest = np.flatnonzero(is_new & ~is_judging)
    stop_date = first_date_of_latest(dates[rest], STOP_SHARE)
    is_stop = dates[rest] >= stop_date if stop_date else order[rest] >= 1 - STOP_SHARE * (1 - RANDOM_SHARE)
    old = np.flatnonzero(is_old)
    old_judging = old[order[old] < OLD_JUDGING_SHARE]
    replay = old[order[old] >= OLD_JUDGING_SHARE]
    replay = replay[np.argsort(order[replay], kind="stable")][: round(REPLAY_PER_NEW * len(rest))]
    return TrainingPlan(
        learn=rest[~is_stop],
        stop=rest[is_stop],
        judging=np.flatnonzero(is_judging),
        replay=replay,
        old_judging=old_judging[np.argsort(order[old_judging], kind="stable")][:MOST_OLD_JUDGING],
        learned_date=str(max(dates[rest].tolist(), default="")),
        judging_date=judging_date,
        is_random=is_random,
    )


def plan_training_without_outcomes(dates: NDArray[np.str_], order: NDArray[np.float64]) -> TrainingPlan:
    """Plan a fine-tuning on old records only, without a judging part, so that the gate waits for outcomes."""
    is_judging, is_stop = order < OLD_JUDGING_SHARE, order < 2 * OLD_JUDGING_SHARE
    return TrainingPlan(
        learn=np.flatnonzero(~is_stop),
        stop=np.flatnonzero(is_stop & ~is_judging),
        judging=NO_ROWS,
        replay=NO_ROWS,
        old_judging=np.flatnonzero(is_judging)[:MOST_OLD_JUDGING],
        learned_date=str(max(dates.tolist(), default="")),
        judging_date="",
    )


def first_date_of_latest(dates: NDArray[np.str_], share: float) -> str:
    """Return the first date of the latest `share` of records, by whole dates; "" with fewer than two dates."""
    distinct, counts = np.unique(dates, return_counts=True)
    if len(distinct) < 2:
        return ""
    later = np.cumsum(counts[::-1])[::-1]  # records of this date or later
    enough = np.flatnonzero(later >= share * len(dates))
    return str(distinct[max(1, enough[-1])])
