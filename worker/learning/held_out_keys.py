"""The secret that hashes the keys of held-out records in a portfolio's bundles."""

import hmac

from db.privacy.installation_secrets import HELD_OUT, get_or_make_secret
from transformer.bundles.held_out_scores import HeldOutScores, name_of
from transformer.errors import BundleError
from worker.runtime.context import WorkerContext


def held_out_secret(context: WorkerContext, portfolio: str) -> bytes:
    """Return the portfolio's secret, derived from TIDEMARK_KEY_SECRET or else from one in the database."""
    house = context.key_secret or get_or_make_secret(context.engine, HELD_OUT)
    return hmac.digest(house.encode(), f"held-out keys\x1f{portfolio}".encode(), "sha256")


def comparable(version: str, scores: HeldOutScores, secret: bytes) -> HeldOutScores:
    """Return scores with hashes keyed by this secret; unkeyed hashes of an older release are keyed now.

    Raises `BundleError` if they are keyed with a different secret.
    """
    if scores.keyed_with in ("", name_of(secret)):
        return scores.keyed(secret)
    raise BundleError(
        version,
        "its held-out keys were hashed with a different secret, so it cannot be compared: set TIDEMARK_KEY_SECRET "
        "to the value used at training, or train a new model",
    )
