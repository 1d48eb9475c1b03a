"""Whether wrong files that are used end in a promotion, and of what: simulated books, seeded.

    python -m benchmarks.wrong_promotions [--quick] [swapped] [shifted] [duplicated] [segment] [part] [right]

Each book of `benchmarks.wrong_outcomes` gets its one wrong file after four usual nights, as there. If its outcomes are
used, the loop trains at once, which is the worst case: the champion has learned from the usual nights, so that only the
wrong file is new, and two fifths of it are all that judges. The refit is a logistic regression of the scored log-odds
and of the fields, on all outcomes as told; the champion is the same without the wrong file. The gate is the loop's own,
with its default limits. What it promotes is compared with the champion on another night by the true probabilities,
without any chance: it is worse if its Brier score is, and harmful if this costs a hundredth of what the champion gains
over the bad rate alone. `right` is the same with the right file.
"""

import json
import sys
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from benchmarks.outcome_books import (
    LEVELS,
    USUAL_NIGHTS,
    Book,
    Floats,
    Night,
    draw_book,
    draw_night,
    look_up,
    play_nights,
)
from benchmarks.report import RESULTS, write_report
from benchmarks.wrong_outcomes import SEEDS, WRONG, falsify, judge_all
from db.portfolios.retraining_policy import GatePolicy
from db.schema.states import Trust
from transformer.evaluation.figures import calibration_line, calibration_slope
from transformer.scoring.points import ScoreScale
from worker.gate.exam import Evidence, Scored, Slopes
from worker.gate.judgement import judge_challenger
from worker.learning.lesson_plan import RANDOM_SHARE

RIGHT = "right"
KINDS = (*WRONG, RIGHT)
HARMFUL = 0.01  # of what the champion's Brier score gains over the bad rate
POLICY = GatePolicy()


def play(kind: str, seed: int) -> dict[str, Any]:
    """Play one book: whether the file was used, what the gate said, and what the promoted model costs in truth."""
    random = np.random.default_rng([seed, KINDS.index(kind)])
    book = draw_book(random)
    nights = play_nights(book, "nothing", random)
    told, last_right = list(nights), nights[USUAL_NIGHTS - 1]
    if kind != RIGHT:
        outcome = falsify(kind, nights[USUAL_NIGHTS], last_right, random)
        told[USUAL_NIGHTS] = replace(nights[USUAL_NIGHTS], outcome=outcome)
    told = told[: USUAL_NIGHTS + 1]
    found: dict[str, Any] = {"kind": kind, "bad": round(book.records * book.bad_rate), "auc": round(book.auc, 3)}
    found["used"] = judge_all(book, told, random)[-1][-1] is Trust.TRUSTED
    if found["used"]:
        test = draw_night(book, nights[-1], random)
        found |= train_and_judge(told, test, true_probability(book, test, nights[-1]), random)
    return found


def train_and_judge(told: list[Night], test: Night, truth: Floats, random: np.random.Generator) -> dict[str, Any]:
    """Make the refit from the nights as told, judge it, and compare it with the champion on the test night."""
    parts = [(features_of(one)[known], one.outcome[known]) for one in told for known in [~np.isnan(one.outcome)]]
    before = tuple(np.concatenate([one[side] for one in parts[:-1]]) for side in (0, 1))
    new, outcome = parts[-1]
    champion = fit(*before)
    is_judging = random.random(len(outcome)) < RANDOM_SHARE
    provisional = fit(*_joined(before, (new[~is_judging], outcome[~is_judging])))
    judging = new[is_judging]
    evidence = gather(outcome[is_judging], predict(champion, judging), predict(provisional, judging))
    judgement = judge_challenger(evidence, POLICY)
    refit, seen = fit(*_joined(before, (new, outcome))), features_of(test)
    costs = [float(((predict(one, seen) - truth) ** 2).mean()) for one in (champion, refit)]
    gain = float(((truth - truth.mean()) ** 2).mean()) - costs[0]
    return {"outcome": str(judgement.outcome), "cost": costs[1] - costs[0], "share": (costs[1] - costs[0]) / gain}


def _joined(first: tuple[Floats, ...], second: tuple[Floats, ...]) -> tuple[Floats, ...]:
    return tuple(np.concatenate([one, other]) for one, other in zip(first, second, strict=True))


def features_of(night: Night) -> Floats:
    """Return what a model may learn from (N, F): the scored log-odds, each level, and the numbers."""
    columns = [logit(night.probability), *night.numbers.values()]
    columns += [(night.names[field] == level).astype(float) for field in LEVELS for level in range(len(LEVELS[field]))]
    return np.column_stack(columns)


def true_probability(book: Book, night: Night, before: Night) -> Floats:
    """Return the probabilities by which outcomes are drawn; half of those who were bad the night before stay bad."""
    unknown = sum((book.effects[field][values] for field, values in night.names.items()), np.zeros(len(night.keys)))
    fresh = expit(night.odds + unknown)
    return np.where(look_up(before, night.keys) == 1, 1 - (1 - fresh) / 2, fresh)


def fit(features: Floats, outcome: Floats) -> LogisticRegression:
    """Fit a logistic regression."""
    return LogisticRegression(C=1.0, max_iter=300).fit(features, outcome)


def predict(model: LogisticRegression, features: Floats) -> Floats:
    """Return the probability of the bad event of N records."""
    return np.clip(model.predict_proba(features)[:, 1], 1e-6, 1 - 1e-6)


def gather(target: Floats, champion: Floats, challenger: Floats) -> Evidence:
    """Return the evidence about a refit that has learned from its judging records since."""
    scale = ScoreScale()
    scored = Scored(target, champion, challenger, scale.points_of(champion), scale.points_of(challenger))
    slopes = None
    if 0 < target.sum() < len(target):
        slopes = Slopes(calibration_line(target, champion)[0], *calibration_slope(target, challenger))
    nobody: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
    return Evidence(
        judging=scored, old=scored.part(nobody), learned_date="1", judging_date="2", slopes=slopes,
        canary_mismatches=0, relative_speed=1.0, is_refit=True, is_provisional=True, is_random_part=True,
    )  # fmt: skip


def sum_up(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Add up the books of one kind."""
    used = [one for one in found if one["used"]]
    promoted = [one for one in used if one["outcome"] == "promote"]
    return {
        "books": len(found),
        "used": len(used),
        "gate": dict(Counter(one["outcome"] for one in used)),
        "promoted": len(promoted),
        "promoted_and_worse": sum(one["cost"] > 0 for one in promoted),
        "promoted_and_harmful": sum(one["share"] > HARMFUL for one in promoted),
        "worst_share": max((one["share"] for one in promoted), default=None),
    }


def main() -> None:
    """Play the kinds that are named, or all, and put their results beside those of the others."""
    named = [one for one in sys.argv[1:] if not one.startswith("-")] or KINDS
    books = SEEDS // 10 if "--quick" in sys.argv else SEEDS
    results: dict[str, Any] = {}
    for kind in named:
        played = [play(kind, seed) for seed in range(books)]
        results[kind] = sum_up(played)
        print(kind, results[kind], flush=True)
        results[kind] |= {"each": played}
    if books == SEEDS:
        stored = RESULTS / "wrong_promotions.json"
        before = json.loads(stored.read_text())["results"] if stored.exists() else {}
        print(write_report("wrong_promotions", before | results))


if __name__ == "__main__":
    main()
