"""Bands of the night before, counted for the keys of one shard."""

import json
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute
from sqlalchemy import Engine, text

from db.engine import reading

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

Keys = Sequence[str] | NDArray[np.object_]


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
