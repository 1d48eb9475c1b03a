"""Cuts labelled records into parts for learning, for early stopping and calibration, and for the reported figures."""

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


@dataclass(frozen=True)
class Labelled:
    """The labelled rows of a book, and what belongs to each of them, one by one."""

    rows: Indices
    target: NDArray[np.float64]
    keys: NDArray[np.object_]
    as_of: NDArray[np.object_] | None = None
    entity: NDArray[np.object_] | None = None


def split_labelled(labelled: Labelled, *, valid_share: float, holdout_share: float) -> Parts:
    """Cut the labelled rows into three parts.

    With `as_of` the latest share is held out. Otherwise a share of each class, chosen by a hash of the key, so that a
    record held out once is held out at every training; with `entity`, all records of a share of the entities.
    """
    if labelled.as_of is None:
        every = np.arange(len(labelled.rows))
        is_holdout = _lowest_share(labelled, every, holdout_share)
    else:
        is_holdout = _latest_share(labelled.as_of, holdout_share)
    return split_beside(labelled, is_holdout, valid_share=valid_share / (1 - holdout_share))


def split_beside(labelled: Labelled, is_holdout: NDArray[np.bool_], *, valid_share: float) -> Parts:
    """Split the labelled rows outside a given holdout.

    The validation part is the latest share where records have a date, else a share of each class with the highest
    hashes, or all records of so many entities.
    """
    rest = np.flatnonzero(~is_holdout)
    if labelled.as_of is None:
        is_valid = _lowest_share(labelled, rest, valid_share, from_above=True)
    else:
        is_valid = _latest_share(labelled.as_of[rest], valid_share)
    rows = labelled.rows
    return Parts(rows[rest[~is_valid]], rows[rest[is_valid]], rows[is_holdout])


def hash_order(keys: NDArray[np.object_]) -> NDArray[np.float64]:
    """Return a number in [0, 1) for each key, the same on every machine and at every time."""
    digests = b"".join(blake2b(str(key).encode(), digest_size=8).digest() for key in keys)
    return np.frombuffer(digests, dtype=">u8").astype(np.float64) / 2.0**64


def _lowest_share(
    labelled: Labelled, chosen_from: Indices, share: float, *, from_above: bool = False
) -> NDArray[np.bool_]:
    keys, entity, target = labelled.keys, labelled.entity, labelled.target[chosen_from]
    order = hash_order((keys if entity is None else entity)[chosen_from])
    order = -order if from_above else order
    if entity is not None:
        each = np.unique(order)
        count = round(share * len(each))
        return order <= each[count - 1] if count else np.zeros(len(order), dtype=bool)
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
