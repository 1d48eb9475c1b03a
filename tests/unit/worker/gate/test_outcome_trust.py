"""Which outcomes can be true, by the scores alone; the same bounds for every book."""

import numpy as np
import pytest

from db.retraining.repeated_outcomes import Overlap
from db.schema.states import Trust
from worker.gate.outcome_trust import (
    AUC_LOWER,
    BAD_HIGHER,
    BAD_LOWER,
    OutcomeEvidence,
    Usual,
    chance_error,
    find_repeated,
    judge_outcomes,
    measure_evidence,
    usual_of,
)

USUAL = Usual(auc=0.8, auc_error=0.01)


def evidence(*, outcomes: int = 5_000, bad: int = 500, expected: float = 500, auc: float | None = 0.8):
    return OutcomeEvidence(outcomes, bad, expected, auc, chance_error(bad, outcomes - bad), 0.82)


def test_evidence_is_the_order_and_the_level_of_the_outcomes() -> None:
    probability = np.array([0.1, 0.2, 0.6, 0.9])
    found = measure_evidence(probability, np.array([0.0, 0.0, 1.0, 1.0]))
    assert (found.outcomes, found.bad, found.auc) == (4, 2, 1.0)
    assert found.expected_bad == pytest.approx(1.8)
    assert OutcomeEvidence.from_document(found.to_document()) == found


@pytest.mark.parametrize(
    ("changes", "trust", "signs"),
    [
        ({}, Trust.TRUSTED, ()),
        ({"auc": 0.76}, Trust.TRUSTED, ()),  # a loss of less than 0.05
        ({"auc": 0.68}, Trust.SURPRISING, (AUC_LOWER,)),
        ({"auc": 0.55}, Trust.CONTRADICTING, ()),  # nearer to chance than to 0.8
        ({"auc": 0.2}, Trust.CONTRADICTING, ()),
        ({"auc": 0.2, "outcomes": 40, "bad": 8, "expected": 6}, Trust.TRUSTED, ()),  # too few
        ({"bad": 900}, Trust.TRUSTED, ()),
        ({"bad": 1_500}, Trust.SURPRISING, (BAD_HIGHER,)),
        ({"bad": 100}, Trust.SURPRISING, (BAD_LOWER,)),
        ({"bad": 4_500, "auc": 0.49}, Trust.CONTRADICTING, ()),  # as many good ones as bad ones were expected
        ({"bad": 5_000, "auc": None}, Trust.CONTRADICTING, ()),  # only the bad ones have arrived
        ({"bad": 0, "auc": None}, Trust.CONTRADICTING, ()),
        ({"outcomes": 30, "bad": 3, "expected": 1.0}, Trust.TRUSTED, ()),
    ],
)
def test_a_night_is_judged_by_its_order_and_its_level(
    changes: dict[str, float | None], trust: Trust, signs: tuple[str, ...]
) -> None:
    found = judge_outcomes(evidence(**changes), USUAL)
    assert (found.trust, found.signs) == (trust, signs), found.reason
    assert bool(found.reason) == (trust is not Trust.TRUSTED)


def test_records_that_are_harder_to_tell_apart_may_have_a_lower_auc() -> None:
    harder = OutcomeEvidence(5_000, 500, 500, 0.66, 0.013, 0.67)
    assert judge_outcomes(harder, USUAL).trust is Trust.TRUSTED


def test_what_was_accepted_becomes_usual() -> None:
    crashed, doubled = evidence(auc=0.5), evidence(bad=1_200)
    assert judge_outcomes(crashed, usual_of([crashed], None, repeats=False)).trust is Trust.TRUSTED
    assert judge_outcomes(evidence(bad=1_500), usual_of([doubled], None, repeats=False)).trust is Trust.TRUSTED


def test_without_earlier_nights_the_held_out_figure_is_usual() -> None:
    assert usual_of([], (0.77, 0.02), repeats=False) == Usual(0.77, 0.02)
    assert judge_outcomes(evidence(auc=0.5), usual_of([], (0.77, 0.02), repeats=False)).trust is Trust.CONTRADICTING


@pytest.mark.parametrize(
    ("overlap", "found"),
    [
        (Overlap(1, 1_000, 900, 50, 800, 0), 1),
        (Overlap(1, 1_000, 900, 50, 800, 1), None),  # one customer fares otherwise: not the same file
        (Overlap(1, 1_000, 900, 200, 600, 2), 1),
        (Overlap(1, 1_000, 400, 50, 300, 0), None),  # of less than half
        (Overlap(1, 1_000, 900, 10, 880, 0), None),  # chance
        (Overlap(2, 1_000, 900, 50, 800, 0), None),  # that night is not used itself
    ],
)
def test_a_file_is_repeated_if_hardly_any_outcome_of_the_same_records_differs(
    overlap: Overlap, found: int | None
) -> None:
    assert find_repeated([overlap], {1}) == found


def test_a_repeated_file_contradicts_unless_that_is_usual_in_this_book() -> None:
    repeated = OutcomeEvidence(5_000, 500, 500, 0.8, 0.01, 0.8, repeats=3)
    assert judge_outcomes(repeated, USUAL).trust is Trust.CONTRADICTING
    assert judge_outcomes(repeated, Usual(0.8, 0.01, repeats=True)).trust is Trust.TRUSTED
