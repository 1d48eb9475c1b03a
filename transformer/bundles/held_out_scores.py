"""What a model said of the records that it has not learnt from, kept in its bundle so that models can be compared.

Records are known by a keyed hash of their key, the same at every training of a house: without its secret, which is in
no bundle, nobody can try keys. Bundles of older releases hold a hash without a key; it is keyed when it is compared.
"""

import hmac
import json
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from transformer.bundles.manifest import fetch_checked, read_manifest
from transformer.errors import BundleError
from transformer.records.splitting import hash_order

HELD_OUT = "held_out.safetensors"
_ARRAYS = ("hashes", "target", "probability")
_KEYED_WITH = "keyed_with"
MOST_KEPT = 100_000  # those of the lowest hashes, so that two models keep the same ones

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class HeldOutScores:
    """N records in the order of their hashes, a number in [0, 1) each; outcomes 0.0 or 1.0.

    `keyed_with` says which secret the hashes are keyed with, by a hash of it; "" where they are not keyed.
    """

    hashes: Floats
    target: Floats
    probability: Floats
    keyed_with: str = ""

    @classmethod
    def of(cls, keys: NDArray[np.object_], target: Floats, probability: Floats, *, secret: bytes) -> Self:
        """Keep what is known of these records, their keys hashed with a secret."""
        return cls(hash_order(keys), target, probability).keyed(secret)

    def keyed(self, secret: bytes) -> Self:
        """Return the same records with hashes that are keyed; those that are keyed already stay as they are."""
        if self.keyed_with:
            return self
        packed = self.hashes.astype(">f8").tobytes()
        digests = b"".join(hmac.digest(secret, packed[at : at + 8], "sha256")[:8] for at in range(0, len(packed), 8))
        hashes = np.frombuffer(digests, dtype=">u8").astype(np.float64) / 2.0**64
        order = np.argsort(hashes, kind="stable")[:MOST_KEPT]
        kept = (hashes[order], self.target[order], self.probability[order])
        return replace(self, **dict(zip(_ARRAYS, kept, strict=True)), keyed_with=name_of(secret))

    def to_bytes(self) -> bytes:
        """Return the file's content."""
        return save({name: getattr(self, name) for name in _ARRAYS}, {_KEYED_WITH: self.keyed_with})

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read back what `to_bytes` wrote."""
        size = int.from_bytes(content[:8], "little")
        told = json.loads(content[8 : 8 + size]).get("__metadata__", {})
        return cls(**load(content), keyed_with=told.get(_KEYED_WITH, ""))

    @classmethod
    def load(cls, models_url: str, version: str) -> Self:
        """Read them from a bundle. Raises `BundleError`."""
        checksum = read_manifest(models_url, version).get(HELD_OUT)
        if checksum is None:
            raise BundleError(version, "it keeps no held-out scores, so it cannot be compared")
        return cls.from_bytes(fetch_checked(models_url, version, {HELD_OUT: checksum})[HELD_OUT])


def name_of(secret: bytes) -> str:
    """Return what tells a secret from others without telling it."""
    return hmac.digest(secret, b"name of this secret", "sha256")[:8].hex()


def match_records(first: HeldOutScores, second: HeldOutScores) -> tuple[Floats, Floats, Floats]:
    """Return outcome (of the second), and both probabilities, of the records that both have held out.

    Hashes of different secrets have nothing in common: see that `keyed_with` is the same.
    """
    _, mine, theirs = np.intersect1d(first.hashes, second.hashes, return_indices=True)
    return second.target[theirs], first.probability[mine], second.probability[theirs]
