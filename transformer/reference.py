"""What is frozen with a model to watch it by: the bins of its input columns, and the canary."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from transformer.canary import Canary, freeze_canary
from transformer.features import FeatureTransform, read_columns
from transformer.field_bins import FieldBins

if TYPE_CHECKING:
    from transformer.scoring import Scorer


@dataclass(frozen=True)
class ModelReference:
    """Stands in the model's bundle, so that every worker that scores can count and check."""

    field_bins: FieldBins
    canary: Canary

    def to_document(self) -> dict[str, Any]:
        """Return a JSON document that `from_document` reads back."""
        return {"field_bins": self.field_bins.to_document(), "canary": self.canary.to_document()}

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """Read back what `to_document` wrote."""
        return cls(FieldBins.from_document(document["field_bins"]), Canary.from_document(document["canary"]))


def freeze_reference(holdout: pd.DataFrame, transform: FeatureTransform, scorer: "Scorer") -> ModelReference:
    """Freeze the bins of a model on its held-out records, and its canary, which is of no record."""
    arrays, _ = read_columns(holdout, transform.schema)
    return ModelReference(FieldBins.fit(arrays, transform), freeze_canary(scorer))
