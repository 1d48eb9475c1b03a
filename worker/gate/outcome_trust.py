"""Judges whether the outcomes of a night can be true, from its scores and from what earlier nights reached. Pure.

A file can have good and bad swapped, its rows shifted against the keys, or be last month's under new dates. The bounds
are set beforehand and alike for all books: none is fitted to data.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from math import inf, sqrt
from statistics import median
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from db.events.wording import counted
from db.retraining.repeated_outcomes import Overlap
from db.schema.states import Trust
from transformer.evaluation.delong import auc_covariance, placements
from worker.drift.expected_figures import expected_auc
from worker.gate.outcome_parts import OddPart

NORMAL_999 = 3.290527  # both sides of a 99.9 % interval
LEAST_OF_EACH = 10  # bad and good outcomes, to judge the order by
SURE_DEVIATIONS = 4.0
LEAST_AUC_LOSS = 0.05
LARGEST_FACTOR = 2.0  # between realised and expected bad outcomes
LEAST_REPEATED = 20  # bad and good outcomes of the same records
LEAST_OVERLAP = 0.5  # of the outcomes, to say that a file is repeated
MOST_DIFFERING = 0.01  # of the repeated bad outcomes
MOST_EARLIER = 5  # nights that tell what is usual
MOST_TOLD = 3  # surprises, in a sentence

AUC_LOWER, BAD_HIGHER, BAD_LOWER = "roc_auc_lower", "bad_rate_higher", "bad_rate_lower"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class OutcomeEvidence:
    """The outcomes of one night against its scores.

    `expected_bad` is the sum of the probabilities, `auc_error` the standard error of the ROC AUC. `repeats` is the
    earlier night whose outcomes are the same, if there is one. `odd_parts` stand out from the rest of the night.
    """

    outcomes: int
    bad: int
    expected_bad: float
    auc: float | None
    auc_error: float
    expected_auc: float | None
    repeats: int | None = None
    odd_parts: tuple[OddPart, ...] = ()

    @property
    def can_be_ordered(self) -> bool:
        """Whether there are enough bad and good outcomes to say how well the scores order them."""
        return min(self.bad, self.outcomes - self.bad) >= LEAST_OF_EACH

    @property
    def can_speak(self) -> bool:
        """Whether there are enough outcomes to say anything, of the order or of the level."""
        return self.can_be_ordered or max(self.bad, self.expected_bad) >= LEAST_OF_EACH

    def to_document(self) -> dict[str, Any]:
        """Return it as a JSON document."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """Read back what `to_document` made."""
        found = cls(**document)
        return replace(found, odd_parts=tuple(OddPart(**one) for one in document.get("odd_parts", ())))


@dataclass(frozen=True)
class Usual:
    """What the scores of this model have reached: ROC AUC, its error, and realised over expected bad outcomes.

    `repeats` says that nights of this book usually repeat the outcomes of earlier ones; `odd_signs` are those of parts
    that stood out before.
    """

    auc: float | None = None
    auc_error: float = 0.0
    ratio: float = 1.0
    repeats: bool = False
    odd_signs: frozenset[str] = frozenset()


@dataclass(frozen=True)
class TrustJudgement:
    """The verdict, its reason as a sentence, and in which directions the outcomes are surprising."""

    trust: Trust
    reason: str = ""
    signs: tuple[str, ...] = ()


def measure_evidence(
    probability: Floats, outcome: Floats, *, repeats: int | None = None, odd_parts: Iterable[OddPart] = ()
) -> OutcomeEvidence:
    """Compare N probabilities with N outcomes; N is at least 1."""
    bad = int(outcome.sum())
    auc, error = measure_auc(outcome, probability) if 0 < bad < len(outcome) else (None, 0.0)
    expected = expected_auc(probability, np.ones(len(probability)))
    found = tuple(odd_parts)
    return OutcomeEvidence(len(outcome), bad, float(probability.sum()), auc, error, expected, repeats, found)


def measure_auc(outcome: Floats, probability: Floats) -> tuple[float, float]:
    """Return the ROC AUC and its standard error: the greater of DeLong's and that of scores that say nothing."""
    of_bad, _ = placements(outcome, probability[None])
    bad = int(outcome.sum())
    delong = sqrt(max(0.0, float(auc_covariance(outcome, probability[None])[0, 0])))
    return float(of_bad.mean()), max(delong, chance_error(bad, len(outcome) - bad))


def chance_error(bad: int, good: int) -> float:
    """Return the standard error of the ROC AUC of scores that say nothing (Mann and Whitney 1947)."""
    return sqrt((bad + good + 1) / (12 * bad * good)) if bad and good else inf


def find_repeated(overlaps: Iterable[Overlap], used: Collection[int]) -> int | None:
    """Return the newest of the `used` jobs whose outcomes a night repeats for the same records; None if there is none.

    It repeats them if they are of at least half of its outcomes, with enough bad and good ones, and all but a hundredth
    of the bad ones are the same. Among other people, or in another year, some would have changed.
    """
    repeated = [
        one.job_id
        for one in overlaps
        if one.job_id in used
        and one.records >= LEAST_OVERLAP * one.compared
        and min(one.bad, one.good) >= LEAST_REPEATED
        and one.differing <= MOST_DIFFERING * one.bad
    ]
    return max(repeated, default=None)


def usual_of(earlier: Sequence[OutcomeEvidence], held_out: tuple[float, float] | None, *, repeats: bool) -> Usual:
    """Return what is usual: the earlier nights of the model, newest first, else its held-out ROC AUC and error."""
    known = [one for one in earlier[:MOST_EARLIER] if one.auc is not None and one.can_be_ordered]
    expected = sum(one.expected_bad for one in earlier[:MOST_EARLIER])
    ratio = sum(one.bad for one in earlier[:MOST_EARLIER]) / expected if expected > 0 else 1.0
    odd = frozenset(part.sign for one in earlier[:MOST_EARLIER] for part in one.odd_parts)
    if known:
        aucs = [one.auc for one in known if one.auc is not None]
        # The error of a median is that of a mean times sqrt(pi / 2), for values that are normally distributed.
        widening = 1.2533 if len(known) > 2 else 1.0
        error = widening * sqrt(sum(one.auc_error**2 for one in known)) / len(known)
        return Usual(float(median(aucs)), error, ratio, repeats, odd)
    auc, error = (None, 0.0) if held_out is None else held_out
    return Usual(auc, error, ratio, repeats, odd)


def judge_outcomes(evidence: OutcomeEvidence, usual: Usual) -> TrustJudgement:
    """Return whether the outcomes can be true. Too few to say anything are trusted."""
    against = _find_contradiction(evidence, usual)
    if against is not None:
        return TrustJudgement(Trust.CONTRADICTING, against)
    odd = [(one.sign, one.told) for one in evidence.odd_parts if one.sign not in usual.odd_signs]
    found = (*_find_auc_loss(evidence, usual), *_find_other_level(evidence, usual), *odd)
    if not found:
        return TrustJudgement(Trust.TRUSTED)
    told = [why for _, why in found[:MOST_TOLD]]
    told += [f"and {len(found) - MOST_TOLD} more"] if len(found) > MOST_TOLD else []
    return TrustJudgement(Trust.SURPRISING, "; ".join(told), tuple(sign for sign, _ in found))


def _find_contradiction(evidence: OutcomeEvidence, usual: Usual) -> str | None:
    if evidence.repeats is not None and not usual.repeats:
        return f"the outcomes are those of job {evidence.repeats} under other dates; the file may be an earlier one"
    if evidence.bad in (0, evidence.outcomes) and _find_other_level(evidence, usual):
        return f"{_tell_level(evidence)}; one of the two outcomes is missing altogether, or has not arrived yet"
    if _is_swapped_level(evidence, usual) and _auc_interval(evidence)[0] <= 0.5:
        return f"{_tell_level(evidence)}; good and bad may be swapped"
    return _find_lost_order(evidence, usual)


def _find_lost_order(evidence: OutcomeEvidence, usual: Usual) -> str | None:
    """A sentence if the scores order the outcomes backwards, or hardly at all."""
    if evidence.auc is None or not evidence.can_be_ordered:
        return None
    low, high = _auc_interval(evidence)
    told = f"ROC AUC {evidence.auc:.3f} (99.9 % interval {low:.3f} to {high:.3f})"
    if high < 0.5:
        return f"the scores order the outcomes backwards: {told}; good and bad may be swapped"
    goal = _goal_of(evidence, usual)
    if goal is None:
        return None
    # Half-way between chance and the goal; the goal's own error counts by half, as it does in the middle.
    highest = evidence.auc + NORMAL_999 * sqrt(evidence.auc_error**2 + (usual.auc_error / 2) ** 2)
    if highest >= (0.5 + goal) / 2:
        return None
    return f"the scores hardly order the outcomes: {told}, expected {goal:.3f}; rows may be shifted against their keys"


def _find_auc_loss(evidence: OutcomeEvidence, usual: Usual) -> list[tuple[str, str]]:
    goal = _goal_of(evidence, usual)
    if evidence.auc is None or goal is None or not evidence.can_be_ordered:
        return []
    loss, error = goal - evidence.auc, sqrt(evidence.auc_error**2 + usual.auc_error**2)
    if loss <= LEAST_AUC_LOSS or loss <= SURE_DEVIATIONS * error:
        return []
    return [(AUC_LOWER, f"ROC AUC {evidence.auc:.3f} instead of {goal:.3f}")]


def _find_other_level(evidence: OutcomeEvidence, usual: Usual) -> list[tuple[str, str]]:
    low, high = _levels(evidence, usual)
    if low <= evidence.bad <= high:
        return []
    return [(BAD_HIGHER if evidence.bad > high else BAD_LOWER, _tell_level(evidence))]


def _tell_level(evidence: OutcomeEvidence) -> str:
    of = counted(evidence.outcomes, "outcome")
    return f"{evidence.bad:,} of {of} are bad; the scores predicted {evidence.expected_bad:,.0f}"


def _is_swapped_level(evidence: OutcomeEvidence, usual: Usual) -> bool:
    """Whether the number of bad outcomes is surprising, and that of the good ones would not be in its place."""
    low, high = _levels(evidence, usual)
    return not low <= evidence.bad <= high and low <= evidence.outcomes - evidence.bad <= high


def _levels(evidence: OutcomeEvidence, usual: Usual) -> tuple[float, float]:
    """Return the least and the most bad outcomes that are no surprise.

    A factor of two from what the scores predict, or from that times what recent nights had, and then chance: the
    deviation of a count is at most the root of its mean.
    """
    least = evidence.expected_bad * min(1.0, usual.ratio) / LARGEST_FACTOR
    most = evidence.expected_bad * max(1.0, usual.ratio) * LARGEST_FACTOR
    return least - SURE_DEVIATIONS * sqrt(least), most + SURE_DEVIATIONS * sqrt(most)


def _goal_of(evidence: OutcomeEvidence, usual: Usual) -> float | None:
    """Return the ROC AUC to expect: what is usual, or less if tonight's records are harder to tell apart."""
    known = [one for one in (usual.auc, evidence.expected_auc) if one is not None]
    return min(known, default=None)


def _auc_interval(evidence: OutcomeEvidence) -> tuple[float, float]:
    if evidence.auc is None or not evidence.can_be_ordered:
        return 0.0, 1.0
    width = NORMAL_999 * evidence.auc_error
    return max(0.0, evidence.auc - width), min(1.0, evidence.auc + width)
