"""The forms that the key of a person may have in results, and erasing a person under every one of them."""

from db.engine import Engine
from db.erasure import Erasure, erase_record
from db.key_hashing import hash_key
from db.settings import DatabaseSettings


def erase_person(engine: Engine, portfolio: str, key: str, *, who: str) -> Erasure:
    """Erase the record with this key and everything that was made of it, also where its key stands as a hash."""
    return erase_record(engine, portfolio, forms_of_key(portfolio, key), who=who)


def forms_of_key(portfolio: str, key: str) -> tuple[str, ...]:
    """Return the key as it is and, where this process knows the secret of the house, as its hash."""
    secret = DatabaseSettings().key_secret_text
    return (key,) if secret is None else (key, hash_key(secret, portfolio, key))
