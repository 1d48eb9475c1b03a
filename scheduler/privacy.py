"""Erases a person, under every form that the key may have in results."""

from db.engine import Engine
from db.erasure import Erasure, erase_record
from db.key_hashing import hash_key
from db.settings import DatabaseSettings


def erase_person(engine: Engine, portfolio: str, key: str, *, who: str) -> Erasure:
    """Erase the record with this key and everything that was made of it, also where its key stands as a hash."""
    secret = DatabaseSettings().key_secret_text
    forms = (key,) if secret is None else (key, hash_key(secret, portfolio, key))
    return erase_record(engine, portfolio, forms, who=who)
