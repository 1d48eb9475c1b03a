"""Counts for the monitor while a shard is scored: fields, segments, migration of bands, and the canary."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from db.connections.engine import Engine
from db.ledger.shard_histograms import Counts, ShardMonitoring
from db.ledger.shard_leases import Claim
from db.monitoring.night_bands import count_bands, count_pairs, find_bands, hash_keys
from db.results.shard_results import Reject, ShardResult
from transformer.bundles.canary import CanaryOutcome
from transformer.bundles.column_signs import SIGNS
from transformer.bundles.field_bins import FieldBins
from transformer.records.column_reading import RecordArrays, read_names
from transformer.scoring.scorer import ScoredRecords, Scorer
from worker.records.event_reading import FEEDS

Points = Sequence[int] | NDArray[np.integer[Any]]

MISSING_VALUE = "(missing)"
MOST_VALUES = 100  # of a segment column; a column with more is counted as one segment
TOO_MANY_VALUES = f"(more than {MOST_VALUES} values)"


@dataclass(frozen=True)
class ScoredShard:
    """What is counted: the scored records, the scorer's result, the stored result, and the canary check."""

    scorer: Scorer
    usable: pd.DataFrame
    scored: ScoredRecords
    result: ShardResult
    canary: CanaryOutcome | None


def count_shard(engine: Engine, claim: Claim, shard: ScoredShard) -> ShardMonitoring:
    """Count one scored shard. Reads the bands of the night before for the shard's keys, and nothing else."""
    reference, job, result = shard.scorer.reference, claim.job, shard.result
    before, records = job.compared_job_id, shard.usable.iloc[shard.scored.rows]
    keys_hash, bands = hash_keys(result.record_keys), np.asarray(result.bands, dtype="S1").tobytes()
    return ShardMonitoring(
        fields=None if reference is None else _count_columns(reference.field_bins, shard),
        segments=count_segments(records, result.points, job.definition.segments),
        migration=None if before is None else _count_migration(engine, before, claim.ordinal, result, keys_hash, bands),
        canary=None if shard.canary is None else shard.canary.to_document(),
        keys_hash=keys_hash,
        bands=bands,
    )


def _count_columns(bins: FieldBins, shard: ScoredShard) -> Counts:
    counts = count_fields(bins, shard.scored.arrays, shard.result.rejects)
    return with_feeds(counts, shard.usable.attrs.get(FEEDS, {}))


def with_feeds(fields: Counts, feeds: Counts) -> Counts:
    """Return the counts of columns with those of the event tables' feeds among the signs of faults."""
    if fields[SIGNS] and feeds:
        fields[SIGNS]["events"] = {name: one for name, one in feeds.items() if one}
    return fields


def count_fields(bins: FieldBins, arrays: RecordArrays, rejects: Sequence[Reject]) -> Counts:
    """Return the records per bin of every column; the rejects by reason and column stand among the signs of faults."""
    counts: Counts = bins.count(arrays)
    if counts[SIGNS]:
        by_reason: Counts = {}
        for one in rejects:
            columns = by_reason.setdefault(one.reason, {})
            columns[one.field] = columns.get(one.field, 0) + 1
        counts[SIGNS]["rejects"] = by_reason
    return counts


def count_segments(records: pd.DataFrame, points: Points, columns: tuple[str, ...]) -> Counts:
    """Return the histogram of points for each value of the columns; a missing value is a segment too."""
    values = np.asarray(points, dtype=np.int64)
    counts: Counts = {}
    for column in columns:
        names = read_names(records[column], ())
        names[pd.isna(names)] = MISSING_VALUE
        places, texts = pd.factorize(names)
        if len(texts) > MOST_VALUES:
            places, texts = np.zeros(len(values), np.int64), np.array([TOO_MANY_VALUES])
        counts[column] = {
            str(name): {"points": count_points(values[places == place])} for place, name in enumerate(texts)
        }
    return counts


def count_points(points: Points) -> dict[str, int]:
    """Return a histogram of points; names in JSON must be texts."""
    values, counts = np.unique(np.asarray(points, dtype=np.int64), return_counts=True)
    return {str(value): count for value, count in zip(values.tolist(), counts.tolist(), strict=True)}


def _count_migration(
    engine: Engine, before: int, ordinal: int, result: ShardResult, keys_hash: str, bands: bytes
) -> Counts:
    """Return the number of records from each band of the previous night to each band; new records are left out."""
    earlier = find_bands(engine, before, ordinal, keys_hash)
    if earlier is not None:
        return count_pairs(earlier, bands)
    keys, now = np.asarray(result.record_keys, dtype=object), np.asarray(result.bands)
    return count_bands(engine, before, {str(band): keys[now == band] for band in np.unique(now)})
