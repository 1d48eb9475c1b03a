"""What is frozen with a model to watch it by: the bins of its input columns, and the canary."""

from dataclasses import dataclass
from typing import Any, Self

from transformer.bundles.canary import Canary
from transformer.bundles.field_bins import FieldBins


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
