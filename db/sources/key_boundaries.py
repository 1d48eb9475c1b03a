"""Splits an ordered key column after every so many records, for any type of key.

Where an index gives the keys in order the cuts are found by jumping along it: 10 million keys take 2 seconds, and
nothing grows with the book. Elsewhere one window function over all keys sorts them once (18 seconds).
"""

import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Dialect,
    Integer,
    Select,
    Text,
    cast,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import ClauseElement, Executable


def find_boundaries(connection: Connection, key: Column[Any], every: int) -> Iterator[tuple[Any, int]]:
    """Yield the last key of each part of about `every` records, with the part's records; equal keys stay together.

    Records without a key are left out.
    """
    if _comes_in_order(connection, _next_keys(connection, key, None, every)):
        return _walk(connection, key, every)
    return _number(connection, key, every)


def key_literal(dialect: Dialect, key: Column[Any], boundary: str) -> ColumnElement[Any]:
    """The boundary (JSON) as a value of the key's type, so that the index on the key and its order can be used."""
    raw = json.loads(boundary)
    if dialect.name == "postgresql":
        # A key of events may be of a shorter type of whole numbers than the records' key that is the boundary.
        return cast(literal(str(raw), Text()), BigInteger() if isinstance(key.type, Integer) else key.type)
    return literal(raw, BigInteger() if isinstance(raw, int) else Text())


def _walk(connection: Connection, key: Column[Any], every: int) -> Iterator[tuple[Any, int]]:
    after: str | None = None
    while True:
        found = [row[0] for row in connection.execute(_next_keys(connection, key, after, every))]
        if not found:
            break
        upto = json.dumps(found[0])
        is_tie = found[1:] == found[:1]
        yield found[0], _count(connection, key, after, upto) if is_tie else every
        after = upto
    # What is left is less than a whole part.
    rest = _above(connection, key, after)
    last = connection.execute(select(_as_value(connection, key)).where(rest).order_by(key.desc()).limit(1)).scalar()
    if last is not None:
        yield last, _count(connection, key, after, None)


def _next_keys(connection: Connection, key: Column[Any], after: str | None, every: int) -> Select[Any]:
    """The last key of the next part, and the key behind it."""
    statement = select(_as_value(connection, key)).where(_above(connection, key, after))
    return statement.order_by(key).offset(every - 1).limit(2)


def _above(connection: Connection, key: Column[Any], after: str | None) -> ColumnElement[bool]:
    return key.is_not(None) if after is None else key > key_literal(connection.dialect, key, after)


def _count(connection: Connection, key: Column[Any], after: str | None, upto: str | None) -> int:
    counted = select(func.count()).select_from(key.table).where(_above(connection, key, after))
    if upto is not None:
        counted = counted.where(key <= key_literal(connection.dialect, key, upto))
    return connection.execute(counted).scalar_one()


def _number(connection: Connection, key: Column[Any], every: int) -> Iterator[tuple[Any, int]]:
    # The frame of count(*) over an order is all rows up to the last of the same key, so equal keys count together.
    position = func.row_number().over(order_by=key).label("position")
    rows_upto = func.count().over(order_by=key).label("rows_upto")
    total = func.count().over().label("total")
    numbered = select(key.label("key"), position, rows_upto, total).where(key.is_not(None)).subquery()
    is_boundary = or_(numbered.c.position % every == 0, numbered.c.position == numbered.c.total)
    statement = select(_as_value(connection, numbered.c.key), numbered.c.rows_upto).where(is_boundary)
    counted = 0
    for row in connection.execute(statement.order_by(numbered.c.position)):
        if row.rows_upto > counted:
            yield row[0], row.rows_upto - counted
            counted = row.rows_upto


def _as_value(connection: Connection, key: Any) -> ColumnElement[Any]:
    """The key as a JSON value."""
    return cast(key, Text) if connection.dialect.name == "postgresql" else key


def _comes_in_order(connection: Connection, statement: Select[Any]) -> bool:
    """Whether the database can read the rows in order without sorting them."""
    plan = " ".join(str(tuple(row)) for row in connection.execute(_Explained(statement)))
    return "Sort" not in plan and "TEMP B-TREE" not in plan


class _Explained(Executable, ClauseElement):
    """EXPLAIN of a statement."""

    inherit_cache = False

    def __init__(self, statement: Select[Any]) -> None:
        self.statement = statement


@compiles(_Explained, "postgresql")
def _explain_on_postgresql(element: _Explained, compiler: Any, **options: Any) -> str:  # pyright: ignore[reportUnusedFunction]
    return "EXPLAIN " + compiler.process(element.statement, **options)


@compiles(_Explained, "sqlite")
def _explain_on_sqlite(element: _Explained, compiler: Any, **options: Any) -> str:  # pyright: ignore[reportUnusedFunction]
    return "EXPLAIN QUERY PLAN " + compiler.process(element.statement, **options)
