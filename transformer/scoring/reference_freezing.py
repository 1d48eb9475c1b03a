"""Freezes what a model is watched by: the bins of its held-out records, and its canary."""

import pandas as pd

from transformer.bundles.field_bins import FieldBins
from transformer.bundles.reference import ModelReference
from transformer.records.column_reading import read_columns
from transformer.records.features import FeatureTransform
from transformer.scoring.canary_check import freeze_canary
from transformer.scoring.scorer import Scorer


def freeze_reference(holdout: pd.DataFrame, transform: FeatureTransform, scorer: Scorer) -> ModelReference:
    """Freeze the bins of a model on its held-out records, and its canary, which is of no record."""
    arrays, _ = read_columns(holdout, transform.schema)
    return ModelReference(FieldBins.fit(arrays, transform), freeze_canary(scorer))
