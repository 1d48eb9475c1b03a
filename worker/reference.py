"""What is frozen of a model's held-out part: in its bundle the bins and the canary, in the registry their counts."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from db.definition import PortfolioDefinition
from transformer.reference import ModelReference, freeze_reference
from transformer.scoring import Scorer
from transformer.training import Book, TrainedModel
from worker.counting import count_points, count_segments
from worker.portfolio_terms import scale_of


@dataclass(frozen=True)
class FrozenReference:
    """`bundled` goes into the model's bundle, `counts` into its registry row."""

    bundled: ModelReference
    counts: dict[str, Any]


def freeze(model: TrainedModel, book: Book, definition: PortfolioDefinition) -> FrozenReference:
    """Freeze what the held-out records of a book say of a model."""
    return freeze_records(model, book.frame[np.isin(book.keys, model.holdout_keys)].reset_index(drop=True), definition)


def freeze_records(model: TrainedModel, holdout: pd.DataFrame, definition: PortfolioDefinition) -> FrozenReference:
    """Count held-out records of a model as the shards count those of a night, and choose its canary."""
    scorer = Scorer(model, "unsaved")
    bundled = freeze_reference(holdout, model.transform, scorer)
    scored = scorer.score(holdout)
    points = scale_of(definition).points_of(scored.probabilities)
    left_out, rows = model.counts["left_out_problems"], model.counts["rows"]
    counts = {
        "points": count_points(points),
        # Records that cannot be read were left out before the cut: the held-out part has its share of them.
        "unscorable": round(len(points) * left_out / max(1, rows - left_out)),
        "fields": bundled.field_bins.count(scored.arrays),
        "segments": count_segments(holdout.iloc[scored.rows], points, definition.segments),
    }
    return FrozenReference(bundled, counts)
