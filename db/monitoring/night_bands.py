"""Bands of the previous night, counted for the keys of one shard.

Most shards hold the same keys as the night before. Their bands lie in one row then; only where keys came or went is
each looked up separately, which costs the server a row of its scores for every record.
"""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute
from sqlalchemy import Connection, Engine, bindparam, select, text, update

from db.connections.engine import reading
from db.schema.core_tables import scores, shards
from db.schema.monitoring_tables import shard_histograms

_KEYS_AT_ONCE = 20_000

# One parameter holds all keys: as thousands of parameters they would be beyond the drivers' limits. Counting where the
# bands lie costs the server no more than sending them does, and the worker nothing.
_STATEMENTS = {
    "sqlite": text(
        "SELECT band, count(*) FROM tidemark_scores "
        "WHERE job_id = :job_id AND record_key IN (SELECT value FROM json_each(:keys)) GROUP BY band"
    ),
    "postgresql": text(
        "SELECT band, count(*) FROM tidemark_scores "
        "WHERE job_id = :job_id AND record_key = ANY(CAST(:keys AS text[])) GROUP BY band"
    ),
}

_OF_SHARD = (
    select(shard_histograms.c.bands)
    .join(shards, shards.c.id == shard_histograms.c.shard_id)
    .where(
        shards.c.job_id == bindparam("job"),
        shards.c.ordinal == bindparam("ordinal"),
        shard_histograms.c.keys_hash == bindparam("keys"),
    )
)

Keys = Sequence[str] | NDArray[np.object_]


def hash_keys(keys: Keys) -> str:
    """Return SHA-256 of the keys and their lengths, as 64 hexadecimal digits."""
    hashed = sha256()
    for buffer in pa.array(keys, type=pa.string(), from_pandas=True).buffers()[1:]:
        hashed.update(buffer)
    return hashed.hexdigest()


def find_bands(engine: Engine, job_id: int, ordinal: int, keys_hash: str) -> bytes | None:
    """Return the bands that a job's shard gave to exactly these keys in this order; None if it had others."""
    with reading(engine) as connection:
        return connection.execute(_OF_SHARD, {"job": job_id, "ordinal": ordinal, "keys": keys_hash}).scalar()


def forget_bands(connection: Connection, job_id: int, record_keys: Sequence[str] | None = None) -> None:
    """Delete the bands of a job's shards; with keys given, only of shards that scored one of them.

    Called before the scores are deleted, in the same transaction.
    """
    is_kept = shard_histograms.c.bands.is_not(None)
    forgotten = update(shard_histograms).where(shard_histograms.c.job_id == job_id, is_kept)
    if record_keys is not None:
        holding = select(scores.c.shard_id).where(scores.c.job_id == job_id, scores.c.record_key.in_(record_keys))
        forgotten = forgotten.where(shard_histograms.c.shard_id.in_(holding))
    connection.execute(forgotten.values(keys_hash=None, bands=None))


def count_pairs(before: bytes, now: bytes) -> dict[str, dict[str, int]]:
    """Return how many records went from each band to each; both have a letter for each of the same records.

    >>> count_pairs(b"AAB", b"ABB")
    {'A': {'A': 1, 'B': 1}, 'B': {'B': 1}}
    """
    pairs = np.frombuffer(before, np.uint8).astype(np.uint16) * 256 + np.frombuffer(now, np.uint8)
    counts: dict[str, dict[str, int]] = {}
    for pair, count in zip(*(one.tolist() for one in np.unique_counts(pairs)), strict=True):
        counts.setdefault(chr(pair // 256), {})[chr(pair % 256)] = count
    return counts


def count_bands(engine: Engine, job_id: int, groups: Mapping[str, Keys]) -> dict[str, dict[str, int]]:
    """Return how many records of each group of keys have each band in a job: by band, then by group.

    Keys that the job did not score are left out.
    """
    counts: dict[str, dict[str, int]] = {}
    with reading(engine) as connection:
        statement = _STATEMENTS[connection.dialect.name]
        write = json.dumps if connection.dialect.name == "sqlite" else _as_array_text
        for group, keys in groups.items():
            for start in range(0, len(keys), _KEYS_AT_ONCE):
                given = write([str(key) for key in keys[start : start + _KEYS_AT_ONCE]])
                for band, count in connection.execute(statement, {"job_id": job_id, "keys": given}):
                    of_band = counts.setdefault(band, {})
                    of_band[group] = of_band.get(group, 0) + count
    return counts


def _as_array_text(keys: list[str]) -> str:
    """The keys as PostgreSQL writes an array of text."""
    escaped = pa.array(keys, type=pa.string())
    for special in ("\\", '"'):
        escaped = compute.call_function(
            "replace_substring", [escaped], compute.ReplaceSubstringOptions(special, f"\\{special}")
        )
    return '{"' + '","'.join(escaped.to_pylist()) + '"}'
