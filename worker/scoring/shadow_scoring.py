"""Scores a shard with the waiting challenger too, if the portfolio asks for shadow nights."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from db.connections.engine import Engine
from db.ledger.job_lifecycle import Job
from db.results.shadow_scores import ShadowResult, find_shadow
from transformer.errors import TransformerError
from transformer.scoring.scorer import ScoredRecords
from worker.runtime.portfolio_mapping import scale_of
from worker.scoring.model_cache import ModelSlot


def score_shadow(
    engine: Engine, slot: ModelSlot, job: Job, usable: pd.DataFrame, scored: ScoredRecords, beat: Callable[[], None]
) -> ShadowResult | None:
    """Return the challenger's scores of the same records; None without a challenger in shadow.

    An unreadable challenger must not stop the night: it has no shadow night, and so is never promoted.
    """
    version = find_shadow(engine, job) if job.definition.retraining.shadow_nights else None
    if version is None:
        return None
    try:
        shadow = slot.scorer(version).score(usable, on_batch=beat)
    except TransformerError:
        return None
    points = scale_of(job.definition).points_of(shadow.probabilities)
    values, counts = np.unique(points, return_counts=True)
    common, mine, theirs = np.intersect1d(shadow.rows, scored.rows, assume_unique=True, return_indices=True)
    moved = np.abs(shadow.probabilities[mine] - scored.probabilities[theirs])
    return ShadowResult(
        model_version=version,
        points={str(value): count for value, count in zip(values.tolist(), counts.tolist(), strict=True)},
        records=len(shadow.rows),
        largest_difference=float(moved.max()) if len(common) else 0.0,
    )
