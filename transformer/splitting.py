"""Cuts labelled records into parts for learning, for stopping and calibration, and for the figures that are told."""

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Parts:
    """Row indices of the three parts."""

    train: Indices
    valid: Indices
    holdout: Indices


def split_labelled(
    rows: Indices,
    target: NDArray[np.float64],
    keys: NDArray[np.object_],
    *,
    as_of: NDArray[np.object_] | None,
    valid_share: float,
    holdout_share: float,
) -> Parts:
    """Cut the labelled rows; target, keys and as_of belong to `rows`, one by one.

    With `as_of` the latest share is held out; otherwise a share of each class, chosen by a hash of the key, so that a
    record held out once is held out at every training. The validation part is always chosen by the hash.
    """
    order = hash_order(keys)
    if as_of is None:
        is_holdout = _lowest_share_of_each_class(order, target, holdout_share)
    else:
        is_holdout = _latest_share(as_of, holdout_share)
    rest = np.flatnonzero(~is_holdout)
    is_valid = _lowest_share_of_each_class(-order[rest], target[rest], valid_share / (1 - holdout_share))
    return Parts(rows[rest[~is_valid]], rows[rest[is_valid]], rows[is_holdout])


def split_beside(
    rows: Indices,
    target: NDArray[np.float64],
    keys: NDArray[np.object_],
    is_holdout: NDArray[np.bool_],
    *,
    valid_share: float,
) -> Parts:
    """Cut the labelled rows beside a holdout that is given; all belong to `rows`, one by one."""
    rest = np.flatnonzero(~is_holdout)
    is_valid = _lowest_share_of_each_class(-hash_order(keys)[rest], target[rest], valid_share)
    return Parts(rows[rest[~is_valid]], rows[rest[is_valid]], rows[is_holdout])


def hash_order(keys: NDArray[np.object_]) -> NDArray[np.float64]:
    """Return a number in [0, 1) for each key, the same on every machine and at every time."""
    digests = b"".join(blake2b(str(key).encode(), digest_size=8).digest() for key in keys)
    return np.frombuffer(digests, dtype=">u8").astype(np.float64) / 2.0**64


def _lowest_share_of_each_class(
    order: NDArray[np.float64], target: NDArray[np.float64], share: float
) -> NDArray[np.bool_]:
    chosen = np.zeros(len(order), dtype=bool)
    for value in (0.0, 1.0):
        members = np.flatnonzero(target == value)
        count = round(share * len(members))
        chosen[members[np.argsort(order[members], kind="stable")[:count]]] = True
    return chosen


def _latest_share(as_of: NDArray[np.object_], share: float) -> NDArray[np.bool_]:
    """Whole dates are held out: records of one date never stand on both sides."""
    dates, ids = np.unique(np.array([str(value) for value in as_of]), return_inverse=True)
    counts = np.bincount(ids, minlength=len(dates))
    later = np.cumsum(counts[::-1])[::-1]  # records of this date or later
    is_late_date = later <= max(share * len(as_of), counts[-1])
    return is_late_date[ids]
