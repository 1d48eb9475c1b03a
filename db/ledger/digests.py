"""Digests of scores and records that add up to the same job digest however the job is split."""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute

STORED_DECIMALS = 6  # of a probability
_BITS = 256
_MODULUS = 2**_BITS
_SEPARATOR = "\x1f"
_LOOKED_AT = 64  # rows that show whether the texts of a column repeat
_MISSING = np.uint64(0x9E3779B97F4A7C15)


def score_digest(
    record_keys: Sequence[str] | NDArray[np.object_],
    probabilities: Sequence[float] | NDArray[np.float64],
    model_version: str,
) -> str:
    """Sum modulo 2**256 of SHA-256(key, probability, model version) over the records, as 64 hexadecimal digits.

    A sum does not depend on order or on shard limits. The separator cannot occur in a probability or a version.

    >>> score_digest(["a", "b"], [0.5, 0.25], "m1") == score_digest(["b", "a"], [0.25, 0.5], "m1")
    True
    """
    texts = _fixed_decimals(np.asarray(probabilities, dtype=np.float64))
    keys = pa.array(record_keys, type=pa.string(), from_pandas=True)
    records = _joined(_SEPARATOR, texts, pa.scalar(model_version), keys).cast(pa.binary())
    digests = b"".join([sha256(record).digest() for record in records.to_pylist()])
    words = np.frombuffer(digests, dtype=">u4").reshape(-1, _BITS // 32).sum(axis=0, dtype=np.uint64)
    return _as_text(sum(word << (_BITS - 32 * (place + 1)) for place, word in enumerate(words.tolist())))


def data_digest(frame: pd.DataFrame) -> str:
    """Sum of a 64-bit hash of every row, as 64 hexadecimal digits: shows whether the same records were read.

    Numbers count as float64, whatever they are stored as; everything else as its text.
    """
    hashes = np.zeros(len(frame), dtype=np.uint64)
    for place, name in enumerate(frame.columns):
        hashes += _hashes_of(frame[name])
        hashes += np.uint64(place)
        _stir(hashes)
    return _as_text(_sum_of(hashes))


def sum_digests(digests: Iterable[str]) -> str:
    """Return the digest of all records together from the digests of disjoint parts."""
    return _as_text(sum(int(digest, 16) for digest in digests))


def _as_text(total: int) -> str:
    return f"{total % _MODULUS:0{_BITS // 4}x}"


def _fixed_decimals(probabilities: NDArray[np.float64]) -> pa.Array:
    """The probabilities with `STORED_DECIMALS` decimals, as text."""
    units = np.rint(probabilities * 10**STORED_DECIMALS).astype(np.int64)
    whole, rest = np.divmod(units, 10**STORED_DECIMALS)
    padding = compute.PadOptions(STORED_DECIMALS, "0")
    decimals = compute.call_function("utf8_lpad", [pa.array(rest).cast(pa.string())], padding)
    return _joined(".", pa.array(whole).cast(pa.string()), decimals)


def _joined(separator: str, *texts: pa.Array | pa.Scalar) -> pa.Array:
    return compute.call_function("binary_join_element_wise", [*texts, pa.scalar(separator)])


def _hashes_of(column: pd.Series) -> NDArray[np.uint64]:
    if column.dtype.kind in "iufb" and not pd.api.types.is_extension_array_dtype(column.dtype):
        values = column.to_numpy(dtype=np.float64) + 0.0  # -0.0 becomes 0.0
        return np.where(np.isnan(values), _MISSING, values.view(np.uint64))
    ids, distinct = _number_texts(column)
    texts = np.asarray(distinct, dtype="object")
    if not isinstance(column.dtype, pd.StringDtype):
        texts = np.array([str(value) for value in texts], dtype="object")
    return np.append(pd.util.hash_array(texts, categorize=False), _MISSING)[ids]


def _number_texts(column: pd.Series) -> tuple[Any, Any]:
    """The values of a column and their rows: repeated texts only once."""
    if isinstance(column.dtype, pd.StringDtype) and column.iloc[:_LOOKED_AT].is_unique and not column.hasnans:
        return slice(len(column)), column
    return pd.factorize(column, use_na_sentinel=True)


def _stir(hashes: NDArray[np.uint64]) -> None:
    """Every bit depends on every other one afterwards (splitmix64, Steele et al. 2014)."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        hashes ^= hashes >> np.uint64(shift)
        hashes *= np.uint64(factor)
    hashes ^= hashes >> np.uint64(31)


def _sum_of(hashes: NDArray[np.uint64]) -> int:
    high, low = hashes >> np.uint64(32), hashes & np.uint64(0xFFFFFFFF)
    return (int(high.sum()) << 32) + int(low.sum())
