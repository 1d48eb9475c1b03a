"""The gate for models trained from scratch: against the champion, or a first model against chance. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from db.retraining.promotion import CHANCE, REFUSED_FOR, SUSPICIOUS
from worker.gate.foreknowledge import Suspicion
from worker.gate.judgement import Judgement, Outcome

MAXIMUM_AUC_LOSS = 0.005  # differences below this are within the noise of one held-out part


@dataclass(frozen=True)
class Doubts:
    """Columns that seem to be known only after the outcome, and the person who accepted them (None: no one)."""

    columns: Sequence[Suspicion]
    accepted_by: str | None

    @property
    def reasons(self) -> str:
        """The suspicions, in words."""
        return "; ".join(one.reason for one in self.columns)

    def to_document(self) -> dict[str, Any]:
        """Return it as a part of a decision's figures."""
        return {SUSPICIOUS: [one.to_document() for one in self.columns], "accepted_by": self.accepted_by}


def judge_candidate(
    candidate: dict[str, float],
    champion: dict[str, float] | None,
    *,
    held: bool = False,
    least_auc: float | None = None,
    doubts: Doubts | None = None,
) -> Judgement:
    """Compare a model trained from scratch with the champion, both measured on the same held-out records.

    Without a champion the candidate must be better than chance: `least_auc`, the lower end of its ROC AUC's interval,
    is above one half. `held` keeps any candidate from being promoted, and so do `doubts` that no one has accepted.
    """
    figures: dict[str, Any] = {"candidate": candidate, "champion": champion, "maximum_auc_loss": MAXIMUM_AUC_LOSS}
    figures |= {} if doubts is None else doubts.to_document()
    if held:
        return Judgement(promoted=False, reason="promotion was disabled", figures=figures)
    if doubts is not None and doubts.accepted_by is None:
        return Judgement(promoted=False, reason=doubts.reasons, figures=figures | {REFUSED_FOR: SUSPICIOUS})
    if champion is None or "roc_auc" not in candidate:
        return _judge_first(candidate, least_auc, doubts, figures)
    difference = candidate["roc_auc"] - champion["roc_auc"]
    figures["roc_auc_difference"] = difference
    reason = f"ROC AUC {candidate['roc_auc']:.4f} against {champion['roc_auc']:.4f} on the same held-out records"
    passed = difference >= -MAXIMUM_AUC_LOSS
    if doubts is not None:
        reason += f"; {doubts.accepted_by} accepted that {doubts.reasons}"
    return Judgement(passed, reason, figures, Outcome.PROMOTE if passed else Outcome.REFUSE)


def _judge_first(
    candidate: dict[str, float], least_auc: float | None, doubts: Doubts | None, figures: dict[str, Any]
) -> Judgement:
    figures |= {"least_auc": least_auc}
    if least_auc is None or least_auc <= 0.5:
        found = "is unknown: the held-out records have only one outcome"
        if least_auc is not None:
            found = f"is {candidate['roc_auc']:.4f}, but its 95 % interval reaches down to {least_auc:.4f}"
        why = f"the model is not proven better than chance: its ROC AUC on held-out records {found}"
        return Judgement(promoted=False, reason=why, figures=figures | {REFUSED_FOR: CHANCE})
    accepted = "" if doubts is None else f"; {doubts.accepted_by} accepted that {doubts.reasons}"
    reason = f"the first model of this portfolio{accepted}"
    return Judgement(promoted=True, reason=reason, figures=figures, outcome=Outcome.PROMOTE)
