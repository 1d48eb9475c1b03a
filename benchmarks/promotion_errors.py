"""How often the gate promotes a worse model though it may look at it after every night, and what simpler rules do.

    python -m benchmarks.promotion_errors

Both models' scores are simulated: they know the same truth, each with a noise of its own. One large sample gives the
variances of the differences of ROC AUC and Brier score for each bad outcome; nights are drawn with them (normal), which
makes thousands of races possible. With 500 outcomes a night races of real records check this. A race is a first
look at the judging part of a training and then a look whenever 100 more bad outcomes are known, for 60 nights at most.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from benchmarks.report import write_report
from db.portfolios.retraining_policy import GatePolicy
from transformer.evaluation.paired_differences import Difference, compare_auc, compare_brier
from worker.gate.judgement import MOST_LOOKS, weigh
from worker.gate.looks import Look

POLICY = GatePolicy()
OUTCOMES = (500, 2_000, 10_000, 100_000)  # a night
BAD_RATES = (0.03, 0.15)
# What the challenger is in truth: the difference of its ROC AUC.
TRUTHS = {"worse by more than the limit": -0.006, "as good": 0.0, "better": 0.01}
FIRST_PART = 0.4  # of a night's outcomes, as the first look has them
NIGHTS, RACES, REAL_RACES = 60, 1_000, 100
SPREAD, NOISE = 1.2, 0.35  # of the true log-odds, and of each model's own error

Floats = NDArray[np.float64]
Rule = Callable[[Difference, Difference, Look, bool], bool]


@dataclass(frozen=True)
class World:
    """A book and a challenger; `auc` and `brier` are mean and deviation of the difference, for one bad outcome."""

    bad_rate: float
    auc: tuple[float, float]
    brier: tuple[float, float]
    correlation: float


def draw(random: np.random.Generator, rows: int, bad_rate: float, noise: float) -> tuple[Floats, Floats, Floats]:
    """Return outcomes and both models' probabilities; `noise` is the challenger's."""
    centre = float(logit(bad_rate)) - 0.5 * SPREAD**2 * (1 - 2 * bad_rate)
    truth = random.normal(centre, SPREAD, rows)
    target = (random.random(rows) < expit(truth)).astype(np.float64)
    sides = (_guess(random, truth, centre, one) for one in (NOISE, noise))
    return (target, *sides)  # type: ignore[return-value]


def _guess(random: np.random.Generator, truth: Floats, centre: float, noise: float) -> Floats:
    kept = SPREAD**2 / (SPREAD**2 + noise**2)
    return expit(centre + kept * (truth + random.normal(0, noise, len(truth)) - centre))


@cache
def noise_for(bad_rate: float, difference: float) -> float:
    """Find the challenger's noise that makes its ROC AUC differ so much."""
    low, high = 0.0, 2.0
    for _ in range(18):
        middle = (low + high) / 2
        target, champion, challenger = draw(np.random.default_rng(5), 200_000, bad_rate, middle)
        found = compare_auc(target, champion, challenger, confidence=0.95).difference
        low, high = (middle, high) if found > difference else (low, middle)
    return NOISE if difference == 0 else (low + high) / 2


@cache
def world_of(bad_rate: float, difference: float) -> World:
    target, champion, challenger = draw(np.random.default_rng(7), 400_000, bad_rate, noise_for(bad_rate, difference))
    auc = compare_auc(target, champion, challenger, confidence=0.95)
    brier = compare_brier(target, champion, challenger, confidence=0.95)
    bad = float(target.sum())
    means = (difference, 0.0 if difference == 0 else brier.difference)
    return World(
        bad_rate,
        (means[0], auc.error * bad**0.5),
        (means[1], brier.error * bad**0.5),
        -0.6,  # a model with the better order has the smaller error
    )


def gate(auc: Difference, brier: Difference, look: Look, is_refit: bool) -> bool:  # noqa: FBT001
    auc, brier = auc.reaching(look.reach), brier.reaching(look.reach)
    kept, gains = weigh(auc, brier, look, POLICY, is_refit=is_refit)
    return kept and any(gains.values()) and brier.low <= 0


def every_night(auc: Difference, brier: Difference, look: Look, is_refit: bool) -> bool:  # noqa: FBT001
    """The usual 95 % interval, looked at again and again."""
    usual = Look(is_first=True, bad=look.bad, least_bad=look.least_bad, error=0.05 / 0.8 / 2)
    return gate(auc, brier, usual, is_refit)


def point_estimate(auc: Difference, brier: Difference, look: Look, is_refit: bool) -> bool:  # noqa: FBT001, ARG001
    """The larger ROC AUC is promoted."""
    return auc.difference > 0


def first_look_alone(auc: Difference, brier: Difference, look: Look, is_refit: bool) -> bool:  # noqa: FBT001
    return look.is_first and every_night(auc, brier, look, is_refit)


RULES: dict[str, Rule] = {
    "the gate": gate,
    "the usual interval every night": every_night,
    "one look": first_look_alone,
    "the larger ROC AUC": point_estimate,
}


def race(world: World, outcomes: int, rule: Rule, random: np.random.Generator, *, is_refit: bool) -> int | None:
    """Return the night after which the challenger is promoted; None if it never is."""
    sums, bad, looked_at, looks = np.zeros(2), 0.0, 0.0, 0
    for night in range(NIGHTS + 1):
        new = (FIRST_PART if night == 0 else 1.0) * outcomes * world.bad_rate
        sums, bad = sums + _draw_night(world, new, random), bad + new
        if bad - looked_at < POLICY.least_bad:
            continue
        looked_at = bad
        differences = [
            Difference(0.0, 0.0, total / bad, 0.0, 0.0, deviation / bad**0.5)
            for total, (_, deviation) in zip(sums, (world.auc, world.brier), strict=True)
        ]
        if rule(differences[0], differences[1], Look(looks == 0, int(bad), POLICY.least_bad), is_refit):
            return night
        looks += 1
        if looks >= MOST_LOOKS:
            return None
        if is_refit and looks == 1:  # what judged it first, it has learned from since
            sums, bad, looked_at = np.zeros(2), 0.0, 0.0
    return None


def _draw_night(world: World, bad: float, random: np.random.Generator) -> Floats:
    """Return the sums of both differences over a night's bad outcomes."""
    first, second = random.standard_normal(2)
    second = world.correlation * first + (1 - world.correlation**2) ** 0.5 * second
    pairs = ((world.auc, first), (world.brier, second))
    return np.array([mean * bad + deviation * bad**0.5 * one for (mean, deviation), one in pairs])


def real_race(world: World, outcomes: int, noise: float, random: np.random.Generator) -> int | None:
    """Play a race of a challenger that is no refit with records instead of normal draws."""
    drawn: list[tuple[Floats, Floats, Floats]] = []
    looked_at, looks = 0.0, 0
    for night in range(NIGHTS + 1):
        drawn.append(draw(random, round((FIRST_PART if night == 0 else 1.0) * outcomes), world.bad_rate, noise))
        target, champion, challenger = (np.concatenate(one) for one in zip(*drawn, strict=True))
        if target.sum() - looked_at < POLICY.least_bad:
            continue
        looked_at = float(target.sum())
        look = Look(looks == 0, int(looked_at), POLICY.least_bad)
        pair = [one(target, champion, challenger, confidence=0.95) for one in (compare_auc, compare_brier)]
        if gate(*pair, look, is_refit=False):
            return night
        looks += 1
        if looks >= MOST_LOOKS:
            return None
    return None


def measure(world: World, outcomes: int, *, is_refit: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, rule in RULES.items():
        random = np.random.default_rng(11)
        nights = [race(world, outcomes, rule, random, is_refit=is_refit) for _ in range(RACES)]
        promoted = [one for one in nights if one is not None]
        found[name] = {
            "promoted": len(promoted) / RACES,
            "median_night": float(np.median(promoted)) if promoted else None,
        }
    return found


def main() -> None:
    rows: list[dict[str, Any]] = []
    for bad_rate in BAD_RATES:
        for told, difference in TRUTHS.items():
            world = world_of(bad_rate, difference)
            for outcomes in OUTCOMES:
                for kind, is_refit in (("refit", True), ("other challenger", False)):
                    figures = measure(world, outcomes, is_refit=is_refit)
                    settings = {"bad_rate": bad_rate, "outcomes_a_night": outcomes, "truth": told, "kind": kind}
                    rows.append({**settings, "rules": figures})
                    shown = ", ".join(f"{name} {one['promoted']:.1%}" for name, one in figures.items())
                    print(f"{bad_rate:.0%} bad, {outcomes:,} a night, {told}, {kind}: {shown}", flush=True)
    random, world = np.random.default_rng(3), world_of(0.15, 0.0)
    real = [real_race(world, 500, NOISE, random) for _ in range(REAL_RACES)]
    checked = {"races": REAL_RACES, "promoted": sum(one is not None for one in real) / REAL_RACES}
    print("races of real records, as good, 500 a night:", checked, flush=True)
    results = {"rows": rows, "real_records": checked, "races": RACES, "nights": NIGHTS, "most_looks": MOST_LOOKS}
    print(write_report("promotion_errors", results))


if __name__ == "__main__":
    main()
