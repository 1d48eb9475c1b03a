"""What a model said of the records that it has not learnt from, kept in its bundle so that models can be compared.

Records are known by a hash of their key, the same at every training; no key leaves the database.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from transformer.bundle_manifest import fetch_checked, read_manifest
from transformer.errors import BundleError
from transformer.splitting import hash_order

HELD_OUT = "held_out.safetensors"
MOST_KEPT = 100_000  # those of the lowest hashes, so that two models keep the same ones

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class HeldOutScores:
    """N records in the order of their hashes, a number in [0, 1) each; outcomes 0.0 or 1.0."""

    hashes: Floats
    target: Floats
    probability: Floats

    @classmethod
    def of(cls, keys: NDArray[np.object_], target: Floats, probability: Floats) -> Self:
        """Keep what is known of these records."""
        hashes = hash_order(keys)
        order = np.argsort(hashes, kind="stable")[:MOST_KEPT]
        return cls(hashes[order], target[order], probability[order])

    def to_bytes(self) -> bytes:
        """Return the file's content."""
        return save({"hashes": self.hashes, "target": self.target, "probability": self.probability})

    @classmethod
    def load(cls, models_url: str, version: str) -> Self:
        """Read them from a bundle. Raises `BundleError`."""
        checksum = read_manifest(models_url, version).get(HELD_OUT)
        if checksum is None:
            raise BundleError(version, "it keeps no held-out scores, so it cannot be compared")
        return cls(**load(fetch_checked(models_url, version, {HELD_OUT: checksum})[HELD_OUT]))


def match_records(first: HeldOutScores, second: HeldOutScores) -> tuple[Floats, Floats, Floats]:
    """Return outcome (of the second), and both probabilities, of the records that both have held out."""
    _, mine, theirs = np.intersect1d(first.hashes, second.hashes, return_indices=True)
    return second.target[theirs], first.probability[mine], second.probability[theirs]
