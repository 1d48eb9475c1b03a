"""Scores a shard with the waiting challenger too, if the portfolio asks for shadow nights."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from db.connections.engine import Engine
from db.ledger.job_lifecycle import Job
from db.results.shadow_scores import ShadowResult, find_shadow
from transformer.errors import TransformerError
from transformer.records.schema import RecordSchema
from transformer.scoring.scorer import ScoredRecords
from worker.runtime.portfolio_mapping import scale_of
from worker.scoring.model_cache import ModelSlot


@dataclass(frozen=True)
class ShadowRecords:
    """The records of a shard that were scored; `read` reads the same rows with the fields of another schema."""

    usable: pd.DataFrame
    scored: ScoredRecords
    read: Callable[[RecordSchema], pd.DataFrame]

    def frame_for(self, schema: RecordSchema) -> pd.DataFrame:
        """Return the records as a model of this schema reads them: it may make other fields of their events."""
        return self.usable if schema.event_fields <= set(self.usable.columns) else self.read(schema)


def score_shadow(
    engine: Engine, slot: ModelSlot, job: Job, records: ShadowRecords, beat: Callable[[], None]
) -> ShadowResult | None:
    """Return the challenger's scores of the same records; None without a challenger in shadow.

    An unreadable challenger must not stop the night: it has no shadow night, and so is never promoted.
    """
    version = find_shadow(engine, job) if job.definition.retraining.shadow_nights else None
    if version is None:
        return None
    try:
        scorer = slot.scorer(version)
        shadow = scorer.score(records.frame_for(scorer.schema), on_batch=beat)
    except TransformerError:
        return None
    points = scale_of(job.definition).points_of(shadow.probabilities)
    values, counts = np.unique(points, return_counts=True)
    common, mine, theirs = np.intersect1d(shadow.rows, records.scored.rows, assume_unique=True, return_indices=True)
    moved = np.abs(shadow.probabilities[mine] - records.scored.probabilities[theirs])
    return ShadowResult(
        model_version=version,
        points={str(value): count for value, count in zip(values.tolist(), counts.tolist(), strict=True)},
        records=len(shadow.rows),
        largest_difference=float(moved.max()) if len(common) else 0.0,
    )
