"""A surprising night waits for its neighbour; what was believed is what later nights are held against."""

from dataclasses import replace

import pytest

from db.retraining.vintages import MEASURED, Vintage
from db.schema.states import Trust
from worker.gate.outcome_trust import OutcomeEvidence
from worker.monitoring.vintage_judge import MeasuredNight, VintageJudge

OUTCOMES, EXPECTED = 5_000, 500


def night(job_id: int, bad: int = EXPECTED, *, auc: float = 0.8, file: str = "") -> MeasuredNight:
    figures = {MEASURED: {"rows": OUTCOMES, "newest_id": job_id}}
    vintage = Vintage(job_id, "book", "m1", OUTCOMES, bad, figures)
    evidence = OutcomeEvidence(OUTCOMES, bad, EXPECTED, auc, 0.012, 0.8)
    return MeasuredNight(vintage, evidence, (), file or f"file {job_id}")


def judge(*nights: MeasuredNight, before: dict[int, Vintage] | None = None, left: int = OUTCOMES) -> VintageJudge:
    found = VintageJudge(before or {}, lambda _version: (0.8, 0.01), lambda _job, _id: left)
    for one in nights:
        found.take(one)
    found.look_again()
    found.confirm()
    return found


def trusts(found: VintageJudge) -> list[Trust | None]:
    return [one.trust for _, one in sorted(found.nights.items())]


HIGH, LOW = 1_500, 100


@pytest.mark.parametrize(
    ("nights", "waiting"),
    [
        ([night(1), night(2, HIGH), night(3, HIGH)], []),
        ([night(1), night(2, HIGH)], [2]),
        ([night(1), night(2, HIGH), night(3, LOW)], [2, 3]),  # in another direction
        ([night(1), night(2, HIGH, file="one"), night(3, HIGH, file="one")], [2, 3]),  # a file does not confirm itself
        ([night(1), night(2, HIGH), night(3), night(4, HIGH)], [2, 4]),  # the night between was as usual
        ([night(1), night(2, auc=0.7), night(3, HIGH, auc=0.7)], []),  # alike in the order
        ([night(1), night(2, auc=0.5), night(3, auc=0.5)], [2, 3]),  # no night confirms a lost order
    ],
)
def test_two_neighbours_confirm_each_other(nights: list[MeasuredNight], waiting: list[int]) -> None:
    found = judge(*nights)
    assert [job_id for job_id, one in sorted(found.nights.items()) if one.trust is not Trust.TRUSTED] == waiting


def test_a_confirmed_level_is_usual_afterwards_and_the_one_before_it_is_no_surprise() -> None:
    found = judge(night(1), night(2, HIGH), night(3, HIGH), night(4, HIGH), night(5, HIGH), night(6))
    assert trusts(found) == [Trust.TRUSTED] * 6


def test_a_night_that_grows_into_a_surprise_is_confirmed_by_the_one_that_followed_it() -> None:
    begun = judge(night(1), replace_evidence(night(2), outcomes=50, bad=15, expected_bad=5), night(3, HIGH))
    assert trusts(begun)[1] is Trust.TRUSTED, "too few to be surprised"
    found = judge(night(2, HIGH), before=begun.nights)
    assert trusts(found) == [Trust.TRUSTED] * 3


def replace_evidence(one: MeasuredNight, **changes: float) -> MeasuredNight:
    assert one.evidence is not None
    return replace(one, evidence=replace(one.evidence, auc_error=0.1, **changes))


@pytest.mark.parametrize(("left", "newest_id", "kept"), [(OUTCOMES, 20, True), (4_999, 20, False), (4_999, 2, True)])
def test_a_persons_word_stands_until_an_outcome_is_corrected(left: int, newest_id: int, *, kept: bool) -> None:
    """Outcomes were added, corrected, or those of a person erased."""
    found = judge(night(1), night(2, auc=0.5))
    accepted = replace(found.nights[2], trust=Trust.ACCEPTED, trusted_by="Ada").with_judged(restarts=True)
    again = night(2, auc=0.5)
    figures = {MEASURED: {"rows": left, "newest_id": newest_id}}
    again = replace(again, vintage=replace(again.vintage, figures=figures))
    judged = judge(again, before=found.nights | {2: accepted}, left=left).nights[2]
    assert judged.trust is (Trust.ACCEPTED if kept else Trust.CONTRADICTING)
    assert judged.trusted_by == ("Ada" if kept else None)


def test_an_accepted_surprise_that_becomes_a_contradiction_is_not_used() -> None:
    found = judge(night(1), night(2, auc=0.7))
    accepted = replace(found.nights[2], trust=Trust.ACCEPTED)
    assert judge(night(2, auc=0.5), before=found.nights | {2: accepted}).nights[2].trust is Trust.CONTRADICTING
