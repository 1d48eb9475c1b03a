"""Freezes a model's reference on the held-out records: bins and canary in the bundle, counts in the registry."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from db.portfolios.definition import PortfolioDefinition
from transformer.bundles.reference import ModelReference
from transformer.bundles.trained_model import TrainedModel
from transformer.events.event_canary import with_event_canary
from transformer.events.event_feed import Counts, count_feed
from transformer.events.event_store import EventStore
from transformer.records.labelled_book import Book
from transformer.records.record_store import RecordStore, rows_at_once
from transformer.records.schema import RecordSchema
from transformer.records.splitting import hash_order
from transformer.scoring.reference_freezing import freeze_reference
from transformer.scoring.scorer import Scorer
from worker.runtime.portfolio_mapping import scale_of
from worker.scoring.monitor_counts import count_points, count_segments, with_feeds

Floats = NDArray[np.float64]

MOST_MEASURED = 200_000  # held-out records: more would say the same, and must fit into memory


@dataclass(frozen=True)
class FrozenReference:
    """`bundled` goes into the model's bundle, `counts` into its registry row."""

    bundled: ModelReference
    counts: dict[str, Any]


def held_out_rows(model: TrainedModel, book: Book) -> NDArray[np.int64]:
    """Return the rows of the book's held-out records; of very many, those with the lowest hashes."""
    rows = np.flatnonzero(pd.Index(book.keys).isin(pd.Index(model.holdout_keys)))
    most = rows_at_once(len(model.schema.columns), most=MOST_MEASURED)
    if len(rows) <= most:
        return rows
    return np.sort(rows[np.argsort(hash_order(book.keys[rows]), kind="stable")[:most]])


def count_feeds(records: RecordStore, schema: RecordSchema) -> Counts:
    """Return the counts of the feeds of the event tables that a model reads."""
    if not isinstance(records, EventStore):
        return {}
    now, read = datetime.now(UTC), {table.name for table in schema.events if table.aggregates}
    return {name: count_feed(one, records.moments, now) for name, one in records.events.items() if name in read}


def freeze(
    model: TrainedModel, book: Book, definition: PortfolioDefinition, *, probabilities: Floats | None = None
) -> FrozenReference:
    """Freeze a model's reference on the held-out records of a book; `probabilities` as in `freeze_records`."""
    rows = held_out_rows(model, book)
    if probabilities is not None:
        probabilities = probabilities[pd.Index(model.holdout_keys).get_indexer(pd.Index(book.keys[rows]))]
    feeds = count_feeds(book.records, model.schema)
    return freeze_records(model, book.records.take(rows), definition, feeds, probabilities=probabilities)


def freeze_records(
    model: TrainedModel,
    holdout: pd.DataFrame,
    definition: PortfolioDefinition,
    feeds: Counts,
    *,
    probabilities: Floats | None = None,
) -> FrozenReference:
    """Count held-out records of a model as the shards count those of a night, and choose its canary.

    `feeds` are the counts of the event tables' feeds: of the whole book, since those of a few records say little.
    A model that has learned from these records scores them better than new ones; `probabilities` are then those of the
    same recipe before, and stand for what a night will look like.
    """
    scorer = Scorer(model, "unsaved")
    bundled = freeze_reference(holdout, model.transform, scorer)
    bundled = replace(bundled, canary=with_event_canary(bundled.canary, model.schema))
    scored = scorer.score(holdout)
    seen = scored.probabilities if probabilities is None else probabilities[scored.rows]
    points = scale_of(definition).points_of(seen)
    left_out, rows = model.counts["left_out_problems"], model.counts["rows"]
    counts = {
        "points": count_points(points),
        # Records that cannot be read were left out before the cut: the held-out part has its share of them.
        "unscorable": round(len(points) * left_out / max(1, rows - left_out)),
        "fields": with_feeds(bundled.field_bins.count(scored.arrays), feeds),
        "segments": count_segments(holdout.iloc[scored.rows], points, definition.segments),
    }
    return FrozenReference(bundled, counts)
