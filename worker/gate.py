"""The gate: decides from figures alone whether a candidate becomes the champion."""

from dataclasses import dataclass
from typing import Any

MAXIMUM_AUC_LOSS = 0.005  # differences below this are within the noise of one held-out part


@dataclass(frozen=True)
class Judgement:
    """What the gate says, in a sentence and in figures."""

    promoted: bool
    reason: str
    figures: dict[str, Any]


def judge_candidate(candidate: dict[str, float], champion: dict[str, float] | None, *, held: bool = False) -> Judgement:
    """Compare the candidate with the champion, both measured on the same held-out records.

    Without a champion the candidate is promoted. `held` keeps any candidate from being promoted.
    """
    figures: dict[str, Any] = {"candidate": candidate, "champion": champion, "maximum_auc_loss": MAXIMUM_AUC_LOSS}
    if held:
        return Judgement(promoted=False, reason="promotion was not wanted", figures=figures)
    if champion is None:
        return Judgement(promoted=True, reason="the first model of this portfolio", figures=figures)
    difference = candidate["roc_auc"] - champion["roc_auc"]
    figures["roc_auc_difference"] = difference
    told = f"ROC AUC {candidate['roc_auc']:.4f} against {champion['roc_auc']:.4f} on the same held-out records"
    return Judgement(difference >= -MAXIMUM_AUC_LOSS, told, figures)
