"""Replaces the keys in a shard's result by keyed hashes, if the portfolio asks for it."""

from dataclasses import replace

from db.ledger.digests import score_digest
from db.ledger.shard_leases import Claim
from db.privacy.key_hashing import stored_keys
from db.results.shard_results import ShardResult


def hide_keys(result: ShardResult, claim: Claim, secret: str | None) -> ShardResult:
    """Return the result with keys in their stored form, which the digest covers. Raises `KeySecretMissingError`."""
    definition = claim.job.definition
    if not definition.privacy.hashed_keys:
        return result
    record_keys = [str(key) for key in stored_keys(definition, secret, [str(one) for one in result.record_keys])]
    rejected = stored_keys(definition, secret, [one.record_key for one in result.rejects])
    return replace(
        result,
        record_keys=record_keys,
        rejects=[replace(one, record_key=key) for one, key in zip(result.rejects, rejected, strict=True)],
        digest=score_digest(record_keys, result.probabilities, str(claim.job.model_version)),
    )
