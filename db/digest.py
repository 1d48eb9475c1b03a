"""Digests of scores and records that add up to the same job digest however the job was cut."""

from collections.abc import Iterable, Sequence
from hashlib import sha256

import numpy as np
import pandas as pd

STORED_DECIMALS = 6  # of a probability
_BITS = 256
_MODULUS = 2**_BITS


def score_digest(record_keys: Sequence[str], probabilities: Sequence[float], model_version: str) -> str:
    """Sum modulo 2**256 of SHA-256(key, probability, model version) over the records, as 64 hexadecimal digits.

    A sum does not depend on order or on shard limits. The separator cannot stand in a probability or a version.

    >>> score_digest(["a", "b"], [0.5, 0.25], "m1") == score_digest(["b", "a"], [0.25, 0.5], "m1")
    True
    """
    total = 0
    for key, probability in zip(record_keys, probabilities, strict=True):
        record = f"{probability:.{STORED_DECIMALS}f}\x1f{model_version}\x1f{key}"
        total += int.from_bytes(sha256(record.encode()).digest(), "big")
    return _as_text(total)


def data_digest(frame: pd.DataFrame) -> str:
    """Sum of a 64-bit hash of every row, as 64 hexadecimal digits: tells whether the same records were read."""
    if frame.empty:
        return _as_text(0)
    hashes = pd.util.hash_pandas_object(frame.astype("str"), index=False).to_numpy(dtype=np.uint64)
    return _as_text(sum(hashes.tolist()))


def sum_digests(digests: Iterable[str]) -> str:
    """Return the digest of all records together from the digests of disjoint parts."""
    return _as_text(sum(int(digest, 16) for digest in digests))


def _as_text(total: int) -> str:
    return f"{total % _MODULUS:0{_BITS // 4}x}"
