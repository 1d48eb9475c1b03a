"""One retraining promotes one challenger; those that lack proof share the places of the race."""

import numpy as np

from worker.gate.judgement import Judgement, Outcome
from worker.gate.preference import FINE_TUNED, MOST_IN_RACE, RECALIBRATED, REFIT, Judged, prefer_one

ROWS = 4_000
RANDOM = np.random.default_rng(1)
TRUTH = RANDOM.random(ROWS) * 0.4
TARGET = (RANDOM.random(ROWS) < TRUTH).astype(np.float64)
BLURRED = np.full(ROWS, TARGET.mean())


def judged(name: str, outcome: Outcome) -> Judged:
    return Judged(name, name, Judgement(outcome is Outcome.PROMOTE, "", {}, outcome))


def preferred(*challengers: Judged, **seen: np.ndarray) -> dict[str, Outcome]:
    known = {one.name: TRUTH for one in challengers} | seen
    found = prefer_one(list(challengers), TARGET, known, 0.95)
    return {one.name: one.judgement.outcome for one in found}


def test_of_two_as_good_the_refit_is_promoted_and_the_other_refused() -> None:
    both = [judged(name, Outcome.PROMOTE) for name in (RECALIBRATED, REFIT)]
    assert list(preferred(*both).items()) == [(REFIT, Outcome.PROMOTE), (RECALIBRATED, Outcome.REFUSE)]


def test_a_fine_tuning_that_is_proven_better_than_the_refit_is_promoted() -> None:
    both = [judged(name, Outcome.PROMOTE) for name in (REFIT, FINE_TUNED)]
    assert preferred(*both, refit=BLURRED)[FINE_TUNED] is Outcome.PROMOTE
    assert preferred(*both, fine_tuned=BLURRED)[REFIT] is Outcome.PROMOTE


def test_the_race_has_no_place_for_a_recalibration_beside_two_others() -> None:
    every = [judged(name, Outcome.UNDECIDED) for name in (RECALIBRATED, FINE_TUNED, REFIT)]
    outcomes = preferred(*every)
    assert list(outcomes.values()).count(Outcome.UNDECIDED) == MOST_IN_RACE
    assert outcomes[RECALIBRATED] is Outcome.REFUSE


def test_who_passed_comes_before_who_waits() -> None:
    found = preferred(judged(REFIT, Outcome.UNDECIDED), judged(RECALIBRATED, Outcome.PROMOTE))
    assert list(found.items()) == [(RECALIBRATED, Outcome.PROMOTE), (REFIT, Outcome.UNDECIDED)]
