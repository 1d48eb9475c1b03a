"""Detects a wrong key secret by comparing it with a stored check value."""

from sqlalchemy import Connection, Engine, exists, or_, select

from db.connections.engine import reading, writing
from db.errors import KeySecretMissingError, KeySecretWrongError
from db.portfolios.definition import PortfolioDefinition
from db.privacy.installation_facts import find_fact, tell_fact
from db.privacy.key_hashing import hash_key
from db.schema.core_tables import jobs
from db.schema.retraining_tables import outcomes

_FACT = "key_secret_check"
_HASHES_KEYS = '%"hashed_keys":true%'  # in the canonical JSON of a definition


def require_key_secret(engine: Engine, definition: PortfolioDefinition, secret: str | None) -> None:
    """Make sure that this process hashes keys with the installation's secret, if the portfolio stores hashes.

    The first secret that is used becomes the installation's. Raises `KeySecretMissingError` or `KeySecretWrongError`.
    """
    if not definition.privacy.hashed_keys:
        return
    if secret is None:
        raise KeySecretMissingError(definition.name)
    with reading(engine) as connection:
        known = find_fact(connection, _FACT)
    if known is None:
        with writing(engine) as connection:
            known = tell_fact(connection, _FACT, _check_of(secret))
    if known != _check_of(secret):
        raise KeySecretWrongError(definition.name)


def why_hashes_are_unseen(
    connection: Connection, definition: PortfolioDefinition, secret: str | None, *, found: frozenset[str]
) -> str | None:
    """Return why a key cannot be found among hashed ones; None if it can, or if no keys are hashed.

    `found` are hashes of the key in results: only the right secret can have made them.
    """
    if not _are_keys_hashed(connection, definition):
        return None
    if secret is None:
        return "keys are stored as hashes, and TIDEMARK_KEY_SECRET is not set here: set it, and erase again"
    known = find_fact(connection, _FACT)
    if known == _check_of(secret) or (known is None and found):
        return None
    if known is not None:
        return "TIDEMARK_KEY_SECRET is not the one that keys are hashed with: set the right one, and erase again"
    return (
        "whether TIDEMARK_KEY_SECRET is the one that keys are hashed with is not known yet: "
        "score the portfolio once with this release, and erase again"
    )


def _are_keys_hashed(connection: Connection, definition: PortfolioDefinition) -> bool:
    of_portfolio = jobs.c.portfolio == definition.name
    by_job = exists().where(of_portfolio, jobs.c.definition.like(_HASHES_KEYS))
    by_outcome = exists().where(outcomes.c.portfolio == definition.name)
    may_be = or_(by_job, by_outcome) if definition.privacy.hashed_keys else by_job
    return bool(connection.execute(select(may_be)).scalar())


def _check_of(secret: str) -> str:
    return hash_key(secret, "", "the check of this secret")
