"""Freezes a canary with a model, and scores it again: any process must reproduce its scores exactly."""

import numpy as np

from transformer.arithmetic.kernels import ARITHMETIC
from transformer.bundles.calibration import LOWEST_PROBABILITY
from transformer.bundles.canary import Canary, CanaryOutcome, draw_records, frame_of
from transformer.scoring.scorer import Scorer

RECORDS = 100
DRAWN = 2000  # records from which they are chosen
SEED = 20261130
MADE_UP = "made up from the transform"
_LAST_DIGIT = 1.5 * LOWEST_PROBABILITY


def freeze_canary(scorer: Scorer, *, records: int = RECORDS, seed: int = SEED) -> Canary:
    """Make up records whose scores are spread evenly over those of many, and freeze them with their scores.

    The same model and seed give the same ones.
    """
    drawn = draw_records(scorer.transform, DRAWN, seed=seed)
    scored = scorer.score(frame_of(drawn))
    by_score = scored.rows[np.argsort(scored.probabilities, kind="stable")]
    places = np.unique(np.linspace(0, len(by_score) - 1, min(records, len(by_score))).astype(np.int64))
    chosen = by_score[places].tolist()
    held = {name: [values[row] for row in chosen] for name, values in drawn.items()}
    return Canary(held, scorer.score(frame_of(held)).probabilities.tolist(), ARITHMETIC, MADE_UP)


def check_canary(canary: Canary, scorer: Scorer) -> CanaryOutcome:
    """Score the frozen records again and count those whose probability is another, or that have none now."""
    allowed = 0.0 if canary.arithmetic == ARITHMETIC else _LAST_DIGIT
    scored = scorer.score(canary.frame())
    expected = np.array(canary.probabilities)
    found = np.full(len(expected), np.nan)
    found[scored.rows] = scored.probabilities
    difference = np.nan_to_num(np.abs(found - expected), nan=1.0)
    return CanaryOutcome(len(expected), int((difference > allowed).sum()), float(difference.max(initial=0.0)))
