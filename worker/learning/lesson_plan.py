"""Plans a lesson: which labelled records a challenger learns from, and which later ones judge it. Pure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EXAM_SHARE = 0.3  # of the new records, whole dates, the newest
STOP_SHARE = 0.25  # of what is left before the exam, the newest
OLD_EXAM_SHARE = 0.15  # of the old records, chosen by a hash of the key; training holds out the same ones
NO_ROWS = np.zeros(0, dtype=np.int64)
REPLAY_PER_NEW = 1.0  # old records for each new one
MOST_OLD_EXAM = 20_000

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class LessonPlan:
    """Row numbers of each part; `learned_date` is the newest date learned from, `exam_date` the exam's first."""

    learn: Rows
    stop: Rows
    exam: Rows
    replay: Rows
    old_exam: Rows
    learned_date: str
    exam_date: str


def plan_lesson(
    dates: NDArray[np.str_], is_new: NDArray[np.bool_], is_old: NDArray[np.bool_], order: NDArray[np.float64]
) -> LessonPlan:
    """Plan a lesson for N records; `order` is a number in [0, 1) from a hash of each key.

    The exam is later than every record that is learned from; with new records of one date alone it is empty.
    """
    new = np.flatnonzero(is_new)
    exam_date = first_date_of_latest(dates[new], EXAM_SHARE)
    is_exam = is_new & (dates >= exam_date) if exam_date else np.zeros(len(dates), dtype=bool)
    rest = np.flatnonzero(is_new & ~is_exam)
    stop_date = first_date_of_latest(dates[rest], STOP_SHARE)
    is_stop = dates[rest] >= stop_date if stop_date else order[rest] < STOP_SHARE
    old = np.flatnonzero(is_old)
    old_exam = old[order[old] < OLD_EXAM_SHARE]
    replay = old[order[old] >= OLD_EXAM_SHARE]
    replay = replay[np.argsort(order[replay], kind="stable")][: round(REPLAY_PER_NEW * len(rest))]
    return LessonPlan(
        learn=rest[~is_stop],
        stop=rest[is_stop],
        exam=np.flatnonzero(is_exam),
        replay=replay,
        old_exam=old_exam[np.argsort(order[old_exam], kind="stable")][:MOST_OLD_EXAM],
        learned_date=str(max(dates[rest].tolist(), default="")),
        exam_date=exam_date,
    )


def plan_lesson_without_outcomes(dates: NDArray[np.str_], order: NDArray[np.float64]) -> LessonPlan:
    """Plan a lesson where there is nothing new: old records alone, and no exam, so that the gate waits for outcomes."""
    is_exam, is_stop = order < OLD_EXAM_SHARE, order < 2 * OLD_EXAM_SHARE
    return LessonPlan(
        learn=np.flatnonzero(~is_stop),
        stop=np.flatnonzero(is_stop & ~is_exam),
        exam=NO_ROWS,
        replay=NO_ROWS,
        old_exam=np.flatnonzero(is_exam)[:MOST_OLD_EXAM],
        learned_date=str(max(dates.tolist(), default="")),
        exam_date="",
    )


def first_date_of_latest(dates: NDArray[np.str_], share: float) -> str:
    """Return the first date of the latest `share` of records, whole dates; "" where there are no two dates."""
    distinct, counts = np.unique(dates, return_counts=True)
    if len(distinct) < 2:
        return ""
    later = np.cumsum(counts[::-1])[::-1]  # records of this date or later
    enough = np.flatnonzero(later >= share * len(dates))
    return str(distinct[max(1, enough[-1])])
