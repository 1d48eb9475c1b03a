"""Record keys as keyed hashes: equal keys have equal hashes within a portfolio, and hashes do not reveal keys."""

import hmac
from collections.abc import Sequence

from db.errors import KeySecretMissingError
from db.portfolios.definition import PortfolioDefinition


def hash_key(secret: str, portfolio: str, key: str) -> str:
    """Return HMAC-SHA256 of the key, in hexadecimal.

    >>> hash_key("a key secret of mine", "book", "42") == hash_key("a key secret of mine", "book", "42")
    True
    """
    message = f"{portfolio}\x1f{key}".encode(errors="surrogatepass")
    return hmac.digest(secret.encode(), message, "sha256").hex()


def stored_keys(definition: PortfolioDefinition, secret: str | None, keys: Sequence[str | None]) -> list[str | None]:
    """Return the keys in the form of results: unchanged, or as hashes if the portfolio says so.

    Raises `KeySecretMissingError` if it does and there is no secret.
    """
    if not definition.privacy.hashed_keys:
        return list(keys)
    if secret is None:
        raise KeySecretMissingError(definition.name)
    return [None if key is None else hash_key(secret, definition.name, key) for key in keys]
