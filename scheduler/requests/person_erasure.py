"""Erases a person under every form that the key may have in results."""

from typing import Any

from db.connections.engine import Engine
from db.erasure.erasure import Person, erase_record
from db.erasure.erasure_proof import Erasure
from db.settings import DatabaseSettings
from scheduler.requests.erasure_files import look_at_files


def erase_person(engine: Engine, portfolio: str, key: str, *, who: str) -> Erasure:
    """Erase the record with this key and all its results, including those under the hashed key."""
    extra = look_at_files(DatabaseSettings().home)
    return erase_record(engine, _person(portfolio, key), who=who, extra=extra)


def describe_erasure(erasure: Erasure) -> dict[str, Any]:
    """Return the result of an erasure as a document for commands and the API."""
    return {
        "erased": erasure.erased,
        "left": erasure.left,
        "proven": erasure.is_proven,
        "foreign": list(erasure.foreign),
        "outcome": str(erasure.outcome),
        "not_looked_at": {one.name: one.unseen for one in erasure.unseen},
        "not_yet_gone": {one.name: one.note for one in erasure.pending},
        "notes": {one.name: one.note for one in erasure.places if one.note is not None},
        "beyond_reach": list(erasure.beyond_reach),
    }


def forms_of_key(portfolio: str, key: str) -> tuple[str, ...]:
    """Return the key and, if this process knows the key secret, its hash."""
    return _person(portfolio, key).keys


def _person(portfolio: str, key: str) -> Person:
    return Person(portfolio, key, DatabaseSettings().key_secret_text)
