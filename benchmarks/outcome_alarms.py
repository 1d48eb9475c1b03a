"""How soon outcomes raise an alarm when the bad rate moves by a fifth, and how often they do when nothing moves.

    python -m benchmarks.outcome_alarms

A book is scored every night, and its outcomes are known the next day. The scores are right until the odds of the bad
event move so that the bad rate is a fifth higher or lower. The rule is the trigger's own. `nights` of quiet are played
first and count the false alarms: three years of a daily book, or of a monthly one. Then the bad rate moves, and the bad
outcomes until the alarm are counted; the champion has scored all nights before.
"""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, logit

from benchmarks.outcome_books import Floats, solve_odds
from benchmarks.report import write_report
from worker.drift.expected_figures import expected_auc
from worker.gate.outcome_deviation import Level, find_deviation
from worker.gate.outcome_trust import measure_auc

PATHS = 20
MOST_BAD = 600
AUC = 0.75
KEPT_NIGHTS = 100  # as many as the trigger looks back on
ENOUGH_NIGHTS = 400  # after the shift


@dataclass(frozen=True)
class Case:
    """Records a night, their bad rate, and quiet nights first."""

    records: int
    bad_rate: float
    nights: int


CASES = (Case(500, 0.05, 1_095), Case(500, 0.2, 1_095), Case(2_000, 0.03, 1_095), Case(10_000, 0.05, 36),
         Case(50_000, 0.03, 36))  # fmt: skip


def measure(case: Case) -> dict[str, Any]:
    """Return false alarms in the quiet nights, and the bad outcomes until an alarm after each shift."""
    found: dict[str, Any] = {"records": case.records, "bad_rate": case.bad_rate, "quiet_nights": case.nights}
    false, seen = 0, {1.2: list[int | None](), 0.8: list[int | None]()}
    for path in range(PATHS):
        for factor, counts in seen.items():
            random = np.random.default_rng([path, case.records, round(1_000 * case.bad_rate), round(10 * factor)])
            levels, alarms = play_quiet(case, random)
            false += alarms
            counts.append(count_until_alarm(case, levels, factor, random))
    found["false_alarms"] = false / (PATHS * len(seen))
    for factor, counts in seen.items():
        known = [MOST_BAD * 100 if one is None else one for one in counts]
        found[f"times {factor:g}"] = {
            "within_600_bad": float(np.mean([one <= MOST_BAD for one in known])),
            "median_bad": float(np.median(known)),
        }
    return found


def play_quiet(case: Case, random: np.random.Generator) -> tuple[list[Level], int]:
    """Return the nights, newest first, and how many alarms began."""
    levels: list[Level] = []
    alarms, was_raised = 0, False
    for _ in range(case.nights):
        levels = [draw_level(case, 1.0, random), *levels][:KEPT_NIGHTS]
        is_raised = find_deviation(levels).told is not None
        alarms, was_raised = alarms + (is_raised and not was_raised), is_raised
    return levels, alarms


def count_until_alarm(case: Case, levels: list[Level], factor: float, random: np.random.Generator) -> int | None:
    """Return the bad outcomes since the shift at which the alarm is raised; None if it never is."""
    bad = 0
    for _ in range(ENOUGH_NIGHTS):
        levels = [draw_level(case, factor, random), *levels][:KEPT_NIGHTS]
        bad += levels[0].bad
        if find_deviation(levels).told is not None:
            return bad
    return None


def draw_level(case: Case, factor: float, random: np.random.Generator) -> Level:
    """Draw a night whose bad rate is this factor of what its scores predict."""
    middle, spread = _ODDS[case]
    odds = middle + spread * random.standard_normal(case.records)
    probability: Floats = expit(odds)
    shift = logit(factor * case.bad_rate) - logit(case.bad_rate)
    outcome = (random.random(case.records) < expit(odds + shift * _STRETCH[case, factor])).astype(float)
    bad = int(outcome.sum())
    expected = float(probability.sum())
    if not 0 < bad < case.records:
        return Level(case.records, bad, expected)
    auc, error = measure_auc(outcome, probability)
    return Level(case.records, bad, expected, auc, error, expected_auc(probability, np.ones(case.records)))


def _stretch(case: Case, factor: float) -> float:
    """Return by how much more than at the mean the log-odds must move for the bad rate to be this factor of it."""
    middle, spread = _ODDS[case]
    odds = middle + spread * np.random.default_rng(0).standard_normal(200_000)
    shift = logit(factor * case.bad_rate) - logit(case.bad_rate)
    low, high = 0.0, 4.0
    for _ in range(30):
        stretch = (low + high) / 2
        is_too_far = abs(expit(odds + shift * stretch).mean() - case.bad_rate) > abs(factor - 1) * case.bad_rate
        low, high = (low, stretch) if is_too_far else (stretch, high)
    return (low + high) / 2


_ODDS = {case: solve_odds(case.bad_rate, AUC) for case in CASES}
_STRETCH = {(case, 1.0): 1.0 for case in CASES}
_STRETCH |= {(case, factor): _stretch(case, factor) for case in CASES for factor in (0.8, 1.2)}


def main() -> None:
    """Measure all cases."""
    with ProcessPoolExecutor(2) as pool:
        results: list[dict[str, Any]] = []
        for one in pool.map(measure, CASES):
            print(one, flush=True)
            results.append(one)
    print(write_report("outcome_alarms", {"paths": PATHS, "cases": results}))


if __name__ == "__main__":
    main()
