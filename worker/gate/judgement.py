"""The gate: decides from figures whether a challenger becomes champion. Pure; the portfolio sets the limits."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from db.portfolios.retraining_policy import GatePolicy
from transformer.evaluation.paired_differences import Difference, compare_auc, compare_brier, compare_calibration
from worker.gate.checks import make_checks
from worker.gate.exam import Check, Evidence, describe, sides_of
from worker.gate.looks import Look

OF_THE_BUNDLE = ("canary", "speed")  # checks of the model itself, whatever it has learned
MOST_LOOKS = 12  # at a challenger that nothing speaks against and nothing proves


class Outcome(StrEnum):
    """The outcome of a judgement."""

    PROMOTE = "promote"
    REFUSE = "refuse"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Judgement:
    """The gate's judgement, as a sentence and as figures."""

    promoted: bool
    reason: str
    figures: dict[str, Any]
    outcome: Outcome = Outcome.REFUSE


def judge_challenger(evidence: Evidence, policy: GatePolicy, *, held: bool = False) -> Judgement:
    """Judge a challenger by outcomes later than anything that it was trained on.

    A check that is failed refuses. Where only the proof is lacking, that the challenger is not worse and that it is
    better, there is no decision: it stays in the race, and is judged again when more outcomes are known. So does a
    refit that learned from the judging records after they judged it: where the world has just changed, it knows of
    that, and those figures do not.
    """
    lacking = _lacking(evidence, policy)
    if lacking is not None:
        return _judgement(Outcome.UNDECIDED, lacking, [])
    proofs = _prove_merit(evidence, policy)
    checks = [*proofs, *make_checks(evidence, policy)]
    failed = [one for one in checks if one.passed is False]
    population = evidence.population and f"; {evidence.population}"
    if failed:
        is_final = any(one.name in OF_THE_BUNDLE for one in failed) or not evidence.is_provisional
        is_worse = any(one not in proofs or one.figures.get("is_worse") for one in failed)
        if is_final and is_worse:
            return _judgement(Outcome.REFUSE, "; ".join(one.said for one in failed) + population, checks)
        return _without_proof(evidence, failed, checks)
    waits = ""
    if held:
        waits = "every check passed, but the portfolio is on hold"
    elif evidence.shadow_nights < evidence.shadow_nights_wanted:
        waits = f"every check passed; {evidence.shadow_nights} of {evidence.shadow_nights_wanted} nights in shadow"
    if waits:
        return _judgement(Outcome.UNDECIDED, waits, checks)
    gains = next(one for one in checks if one.name == "gain")
    return _judgement(Outcome.PROMOTE, f"every check passed; {gains.said}{population}", checks)


def _without_proof(evidence: Evidence, failed: list[Check], checks: list[Check]) -> Judgement:
    why = "; ".join(one.said for one in failed)
    if evidence.looks + 1 >= MOST_LOOKS:
        return _judgement(Outcome.REFUSE, f"no proof after {MOST_LOOKS} looks: {why}", checks)
    return _judgement(Outcome.UNDECIDED, f"stays in the race: {why}", checks)


def _lacking(evidence: Evidence, policy: GatePolicy) -> str | None:
    judging = evidence.judging
    if len(judging.target) and evidence.judging_date <= evidence.learned_date and not evidence.is_random_part:
        dated = f"the outcomes are dated {evidence.judging_date}"
        return f"{dated}, not later than the training data ({evidence.learned_date})"
    if min(judging.bad, judging.good) < policy.least_bad:
        found = f"{judging.bad} bad and {judging.good} good outcomes later than the training data"
        return f"{found}; {policy.least_bad} of each are needed"
    return None


def _prove_merit(evidence: Evidence, policy: GatePolicy) -> list[Check]:
    """The AUC must be proven not to be worse by more than the limit, and the challenger better.

    A refit has learned more than the champion by the same recipe, so it is expected to be better: there it is enough
    that ROC AUC or Brier score is better on these records. Any other challenger must prove one of the two; each
    is given half of the permitted error.
    """
    look, judging = evidence.look(policy), evidence.judging
    auc = compare_auc(*sides_of(judging), confidence=policy.confidence).reaching(look.reach)
    brier = compare_brier(*sides_of(judging), confidence=policy.confidence).reaching(look.reach)
    calibration = compare_calibration(*sides_of(judging), confidence=policy.confidence)
    kept, gains = weigh(auc, brier, look, policy, is_refit=evidence.is_refit)
    said = f"ROC AUC {describe(auc)}, its interval must not reach below {-policy.largest_auc_loss:g}"
    figures = {"ROC AUC": auc.to_document(), "Brier score": brier.to_document()}
    figures |= {"calibration error": calibration.to_document(), "looks": evidence.looks + 1, "reach": look.reach}
    return [
        Check("roc_auc", kept, said, auc.to_document() | {"is_worse": auc.high < -policy.largest_auc_loss}),
        _gain_of(evidence, {"ROC AUC": auc, "Brier score": brier}, gains, figures | {"is_worse": brier.low > 0}),
    ]


def weigh(
    auc: Difference, brier: Difference, look: Look, policy: GatePolicy, *, is_refit: bool
) -> tuple[bool, dict[str, bool]]:
    """Return whether the ROC AUC is kept, and by which figures the challenger is better.

    The intervals of both differences reach `look.reach`.
    """
    kept = auc.low >= -policy.largest_auc_loss
    if is_refit:
        return kept, {"ROC AUC": auc.difference > 0, "Brier score": brier.difference < 0}
    half = replace(look, error=look.error / 2).reach
    return kept, {"ROC AUC": auc.reaching(half).low > 0, "Brier score": brier.reaching(half).high < 0}


def _gain_of(evidence: Evidence, compared: dict[str, Difference], gains: dict[str, bool], figures: Any) -> Check:
    better = ", ".join(f"{name} {describe(compared[name])}" for name, is_so in gains.items() if is_so)
    if evidence.is_refit:
        said = f"a refit on more outcomes, better: {better}" if better else "a refit that is better in neither figure"
    else:
        said = f"proven better: {better}" if better else "neither ROC AUC nor Brier score is proven better"
    if figures["is_worse"]:
        said = f"Brier score proven worse: {describe(compared['Brier score'])}"
    return Check("gain", bool(better) and not figures["is_worse"], said, figures)


def _judgement(outcome: Outcome, reason: str, checks: list[Check]) -> Judgement:
    figures = {"checks": [one.to_document() for one in checks]}
    return Judgement(outcome is Outcome.PROMOTE, reason, figures, outcome)
