"""Plays a policy through the nights of a past, and compares the results of several."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from db.schema.states import Verdict
from worker.drift import compare, judge
from worker.gate.exam import histogram_of
from worker.replay.models import Workshop
from worker.replay.past import Floats
from worker.replay.players import Player

CERTAIN = 1e-6  # probabilities are kept so far from 0 and 1 for the log loss
REACH = 1.96


@dataclass(frozen=True)
class Played:
    """What a policy came to: figures of each night, in which both outcomes occurred, and what it took."""

    nights: NDArray[np.int64]
    roc_auc: Floats
    brier: Floats
    log_loss: Floats
    alarms: int
    trainings: int

    def to_document(self) -> dict[str, Any]:
        """Return the means over the nights as a JSON document."""
        means = {name: float(getattr(self, name).mean()) for name in ("roc_auc", "brier", "log_loss")}
        return means | {"nights": len(self.nights), "alarms": self.alarms, "trainings": self.trainings}


def play(player: Player, workshop: Workshop) -> Played:
    """Score every night with the policy's model of that moment; it acts before on outcomes, after on the verdict."""
    past = workshop.past
    trainings, alarms = workshop.trainings, 0
    figures: list[tuple[float, ...]] = []
    for night in range(len(past.dates)):
        player.before(night)
        rows = past.rows_of(night)
        champion = player.champion
        probabilities = workshop.score(champion, rows)
        verdict = judge(compare(champion.reference, histogram_of(workshop.scale.points_of(probabilities))))
        alarms += verdict is Verdict.DRIFTED
        target = past.target[rows]
        if 0 < target.sum() < len(target):
            figures.append((night, *_measure(target, probabilities)))
        player.after(night, verdict, probabilities)
    table = np.array(figures).reshape(-1, 4)
    nights, roc_auc, brier, log_loss = table.T
    trained = workshop.trainings - trainings
    return Played(nights.astype(np.int64), roc_auc, brier, log_loss, alarms, trained)


def _measure(target: Floats, probabilities: Floats) -> tuple[float, float, float]:
    kept = np.clip(probabilities, CERTAIN, 1 - CERTAIN)
    loss = -np.where(target == 1, np.log(kept), np.log1p(-kept)).mean()
    return float(roc_auc_score(target, probabilities)), float(((probabilities - target) ** 2).mean()), float(loss)


def compare_played(one: Played, other: Played) -> dict[str, Any]:
    """Return the mean difference of each figure over the nights, `one` minus `other`, with its paired interval."""
    document: dict[str, Any] = {}
    for name in ("roc_auc", "brier", "log_loss"):
        moved = getattr(one, name) - getattr(other, name)
        error = float(moved.std(ddof=1) / np.sqrt(len(moved))) if len(moved) > 1 else float("nan")
        mean = float(moved.mean())
        document[name] = {"difference": mean, "interval": [mean - REACH * error, mean + REACH * error]}
    return document
