"""Bands of the night before, for the keys of one shard."""

import json
from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, Engine, text

from db.engine import reading

_KEYS_AT_ONCE = 20_000

# One parameter holds all keys: as thousands of parameters they would be beyond the drivers' limits.
_STATEMENTS = {
    "sqlite": "SELECT record_key, band FROM tidemark_scores "
    "WHERE job_id = :job_id AND record_key IN (SELECT value FROM json_each(:keys))",
    "postgresql": "SELECT record_key, band FROM tidemark_scores WHERE job_id = :job_id AND record_key = ANY(:keys)",
}


def read_bands(engine: Engine, job_id: int, record_keys: Sequence[str]) -> dict[str, str]:
    """Return the band that a job gave to each of the keys that it scored."""
    with reading(engine) as connection:
        return dict(_read(connection, job_id, record_keys))


def _read(connection: Connection, job_id: int, record_keys: Sequence[str]) -> Iterator[tuple[str, str]]:
    dialect = connection.dialect.name
    for start in range(0, len(record_keys), _KEYS_AT_ONCE):
        keys = list(record_keys[start : start + _KEYS_AT_ONCE])
        given = json.dumps(keys) if dialect == "sqlite" else keys
        rows = connection.execute(text(_STATEMENTS[dialect]), {"job_id": job_id, "keys": given})
        for row in rows:
            yield row.record_key, row.band
