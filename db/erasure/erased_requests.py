"""Deletes online requests that contain an erased person, with their records and answers."""

import json
from collections import Counter
from typing import Any

from sqlalchemy import Connection, delete, select

from db.erasure.erasure_proof import Place
from db.portfolios.definition import PortfolioDefinition
from db.schema.api_tables import online_requests


def forget_requests_of(connection: Connection, definition: PortfolioDefinition, keys: tuple[str, ...]) -> Counter[str]:
    """Delete the requests with one of the keys, in the erasure's transaction."""
    found = _find_requests(connection, definition, keys)
    if found:
        connection.execute(delete(online_requests).where(online_requests.c.id.in_(found)))
    return Counter({online_requests.name: len(found)})


def count_requests(connection: Connection, definition: PortfolioDefinition, keys: tuple[str, ...]) -> Place:
    """Return how many requests have one of the keys now."""
    return Place(online_requests.name, left=len(_find_requests(connection, definition, keys)))


def _find_requests(connection: Connection, definition: PortfolioDefinition, keys: tuple[str, ...]) -> list[str]:
    columns = (online_requests.c.id, online_requests.c.records, online_requests.c.answer)
    rows = connection.execute(select(*columns).where(online_requests.c.portfolio == definition.name))
    return [row.id for row in rows if _named(row, definition.key) & frozenset(keys)]


def _named(row: Any, key: str) -> frozenset[str]:
    records = [one.get(key) for one in json.loads(row.records or "[]")]
    answer = json.loads(row.answer or "{}")
    answered = [one.get("record_key") for name in ("scores", "rejects") for one in answer.get(name, ())]
    return frozenset(str(one) for one in (*records, *answered) if one is not None)
