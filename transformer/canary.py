"""The canary: held-out records frozen with a model, and their scores, which every process must reproduce exactly.

A difference means that something between the records and the scores is not what it was: reading, features, network,
libraries or processor. It says nothing about the population, which is the point of it. A release that computes the same
sums in another order says so by another `ARITHMETIC`: the models before it may differ by one in the last stored digit.
"""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from transformer.lanes import ARITHMETIC
from transformer.probabilities import LOWEST_PROBABILITY

if TYPE_CHECKING:
    from transformer.scoring import Scorer

RECORDS = 100
_LAST_DIGIT = 1.5 * LOWEST_PROBABILITY


@dataclass(frozen=True)
class Canary:
    """Records by column, as JSON holds them, and the stored probability of each."""

    records: dict[str, list[Any]]
    probabilities: list[float]
    arithmetic: int = ARITHMETIC

    def frame(self) -> pd.DataFrame:
        """Return the records as a frame like those that are read from the source."""
        columns = {name: pd.Series(values, dtype="object") for name, values in self.records.items()}
        return pd.DataFrame(columns)

    def to_document(self) -> dict[str, Any]:
        """Return a JSON document that `from_document` reads back."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """Read back what `to_document` wrote."""
        return cls(document["records"], document["probabilities"], document.get("arithmetic", 1))


@dataclass(frozen=True)
class CanaryOutcome:
    """What became of the canary in one process."""

    records: int
    mismatches: int
    largest_difference: float

    def to_document(self) -> dict[str, Any]:
        """Return the outcome as a JSON document."""
        return asdict(self)


def freeze_canary(frame: pd.DataFrame, scorer: "Scorer", *, records: int = RECORDS) -> Canary:
    """Choose records that are spread evenly over the scores of the frame's, and freeze them with their scores."""
    scored = scorer.score(frame)
    by_score = scored.rows[np.argsort(scored.probabilities, kind="stable")]
    places = np.unique(np.linspace(0, len(by_score) - 1, min(records, len(by_score))).astype(np.int64))
    chosen = frame.iloc[by_score[places]]
    held = {name: [_as_json(value) for value in chosen[name].astype("object")] for name in scorer.schema.columns}
    # Scored once more in the form in which they are kept.
    return Canary(held, scorer.score(Canary(held, []).frame()).probabilities.tolist())


def check_canary(canary: Canary, scorer: "Scorer") -> CanaryOutcome:
    """Score the frozen records again and count those whose probability is another, or that have none now."""
    allowed = 0.0 if canary.arithmetic == ARITHMETIC else _LAST_DIGIT
    scored = scorer.score(canary.frame())
    expected = np.array(canary.probabilities)
    found = np.full(len(expected), np.nan)
    found[scored.rows] = scored.probabilities
    difference = np.nan_to_num(np.abs(found - expected), nan=1.0)
    return CanaryOutcome(len(expected), int((difference > allowed).sum()), float(difference.max(initial=0.0)))


def _as_json(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if pd.isna(value):
        return None
    return float(value) if isinstance(value, float) else str(value)
