"""Which of several challengers of one retraining is promoted, and which have a place in the race. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from transformer.evaluation.paired_differences import compare_brier
from worker.gate.judgement import Judgement, Outcome

REFIT, FINE_TUNED, PRETRAINED, RECALIBRATED = "refit", "fine_tuned", "pretrained", "recalibrated"
MOST_IN_RACE = 2
_BY_WORTH = (REFIT, FINE_TUNED, PRETRAINED, RECALIBRATED)  # in the race: a recalibration can be made again at any time
_BY_SIMPLICITY = (REFIT, RECALIBRATED, FINE_TUNED, PRETRAINED)  # one further on must be proven better

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """A challenger by the name of how it was made, with the gate's judgement."""

    name: str
    version: str
    judgement: Judgement


def is_worth_making(name: str, made: Mapping[str, Outcome]) -> bool:
    """Whether a challenger is worth its training, after those that were made and judged before it.

    A refit that passed, or that stays in the race, has learned from the same outcomes and more; a recalibration takes
    no training.
    """
    refit = made.get(REFIT)
    if refit is Outcome.PROMOTE:
        return False
    return name == RECALIBRATED or refit is not Outcome.UNDECIDED


def prefer_one(challengers: list[Judged], target: Floats, seen: dict[str, Floats], confidence: float) -> list[Judged]:
    """Put first the challenger to promote, and refuse the others that passed: one promotion a retraining.

    `seen` has the probabilities of each on the judging records (N), by name. A refit is preferred, then a
    recalibration, unless another one is proven better on the same records. Those that lack proof stay in the race, as
    many as it has places.
    """
    challengers = _fill_race(challengers)
    passed = [one for one in challengers if one.judgement.outcome is Outcome.PROMOTE]
    if len(passed) < 2:
        return sorted(challengers, key=lambda one: one not in passed)
    passed.sort(key=lambda one: _BY_SIMPLICITY.index(one.name))
    winner = passed[0]
    for other in passed[1:]:
        gain = compare_brier(target, seen[winner.name], seen[other.name], confidence=confidence)
        winner = other if gain.high < 0 else winner
    why = f"the {winner.name.replace('_', ' ')} model is preferred"
    decided = [
        _refused(one, why, {"preferred": winner.version}) if one in passed and one is not winner else one
        for one in challengers
    ]
    return sorted(decided, key=lambda one: one.version != winner.version)


def _fill_race(challengers: list[Judged]) -> list[Judged]:
    """Refuse those for whom the race has no place, however many lack proof."""
    waiting = [one for one in challengers if one.judgement.outcome is Outcome.UNDECIDED]
    waiting.sort(key=lambda one: _BY_WORTH.index(one.name))
    places = {one.version for one in waiting[:MOST_IN_RACE]}
    why = f"no place in the race, which has {MOST_IN_RACE}"
    return [_refused(one, why, {}) if one in waiting and one.version not in places else one for one in challengers]


def _refused(one: Judged, why: str, more: dict[str, str]) -> Judged:
    return replace(one, judgement=Judgement(promoted=False, reason=why, figures=one.judgement.figures | more))
