"""Boundaries of shards' key ranges that are the key of an erased person.

A range that was scored is needed no more and is forgotten. One that is still to be scored ends at the neighbour's key
instead: no record lies between the two.
"""

import json
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    String,
    Text,
    cast,
    func,
    literal,
    or_,
    select,
    update,
)

from db.portfolios.definition import PortfolioDefinition
from db.schema.core_tables import jobs, shards
from db.schema.states import JobState, ShardState
from db.sources.key_boundaries import key_literal
from db.sources.source_table import find_source

_LEAST_INTEGER = -(2**63)


def forget_boundaries_of(connection: Connection, portfolio: str, keys: tuple[str, ...]) -> int:
    """Change key ranges that begin or end at one of these keys, in the erasure's transaction; return how many.

    Called after the records are deleted. A boundary that is still in a source of someone else is kept.
    """
    cancelled = shards.c.job_id.in_(select(jobs.c.id).where(jobs.c.state == JobState.CANCELLED))
    is_over = or_(shards.c.state.in_((ShardState.DONE, ShardState.SPLIT)), cancelled)
    forgotten = update(shards).where(_ends_at(portfolio, keys), is_over).values(key_after=None, key_upto=None)
    changed = connection.execute(forgotten).rowcount
    columns = (shards.c.id, shards.c.key_after, shards.c.key_upto, jobs.c.definition)
    left = select(*columns).join(jobs, jobs.c.id == shards.c.job_id).where(_ends_at(portfolio, keys), ~is_over)
    return changed + sum(_move(connection, row, _forms(keys)) for row in connection.execute(left).all())


def count_boundaries(connection: Connection, portfolio: str, keys: tuple[str, ...]) -> int:
    """Return how many shards have a range that begins or ends at one of these keys."""
    found = select(func.count()).select_from(shards).where(_ends_at(portfolio, keys))
    return connection.execute(found).scalar_one()


def _ends_at(portfolio: str, keys: tuple[str, ...]) -> ColumnElement[bool]:
    forms = _forms(keys)
    of_portfolio = shards.c.job_id.in_(select(jobs.c.id).where(jobs.c.portfolio == portfolio))
    return of_portfolio & or_(shards.c.key_after.in_(forms), shards.c.key_upto.in_(forms))


def _forms(keys: tuple[str, ...]) -> list[str]:
    """A boundary is an integer or a text, as JSON."""
    return [form for key in keys for form in (json.dumps(key), key)]


def _move(connection: Connection, row: Any, forms: list[str]) -> bool:
    definition = PortfolioDefinition.from_json(row.definition)
    table = find_source(connection, definition.records)
    if table is None or definition.key not in table.c:
        return False
    column, moved = table.c[definition.key], dict[str, str | None]()
    for name in ("key_after", "key_upto"):
        end = getattr(row, name)
        if end not in forms:
            continue
        here = key_literal(connection.dialect, column, end)
        if _is_there(connection, column == here):
            return False
        moved[name] = _find_before(connection, column, here)
        if name == "key_upto" and moved[name] is None:
            moved[name] = _below_all(column, end)
            if moved[name] is None:
                return False
    connection.execute(update(shards).where(shards.c.id == row.id).values(**moved))
    return True


def _is_there(connection: Connection, condition: ColumnElement[bool]) -> bool:
    return connection.execute(select(literal(1)).where(condition).limit(1)).first() is not None


def _find_before(connection: Connection, column: Column[Any], here: ColumnElement[Any]) -> str | None:
    as_value: Any = cast(column, Text) if connection.dialect.name == "postgresql" else column
    value = connection.execute(select(as_value).where(column < here).order_by(column.desc()).limit(1)).scalar()
    return None if value is None else json.dumps(value)


def _below_all(column: Column[Any], end: str) -> str | None:
    """Return a boundary before every key, for a shard with no other key; None for keys of unknown types."""
    if isinstance(column.type, BigInteger):
        return json.dumps(type(json.loads(end))(_LEAST_INTEGER))
    return json.dumps("") if isinstance(column.type, String) else None
