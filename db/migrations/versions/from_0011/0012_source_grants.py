"""Sources are granted to portfolios: each gets those that it has now, and `load` made those that look like it.

Where several portfolios share a table that `load` made, it belongs to the one that loaded records first.
"""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

from db.connections.clock import UtcDateTime, now_plus
from db.errors import SourceReservedError
from db.portfolios.source_names import find_kind, name_source, split_source

revision = "0012"
down_revision = "0011"

_TABLE = "tidemark_source_grants"
_WHO = "upgrade to 0012"
_DEFINITIONS = """
SELECT name AS portfolio, definition FROM tidemark_portfolios
UNION
SELECT portfolio, definition FROM tidemark_jobs WHERE state IN ('queued', 'running', 'paused')
"""
_MAKERS = """
SELECT p.name, min(e.id) AS first_load FROM tidemark_portfolios AS p
LEFT JOIN tidemark_events AS e ON e.portfolio = p.name AND e.event = 'records.loaded'
GROUP BY p.name, p.created_at ORDER BY CASE WHEN min(e.id) IS NULL THEN 1 ELSE 0 END, min(e.id), p.created_at, p.name
"""


def upgrade() -> None:
    """Add the table and fill it."""
    op.create_table(
        _TABLE,
        sa.Column("portfolio", sa.Text(), nullable=False),
        sa.Column(
            "source",
            sa.Text(),
            nullable=False,
            comment="as the database names it: db.portfolios.source_names.name_source",
        ),
        sa.Column("made_by_load", sa.Boolean(), nullable=False, comment="load may replace it, erasure changes it"),
        sa.Column("granted_by", sa.Text(), nullable=False),
        sa.Column("granted_at", UtcDateTime, nullable=False),
        sa.Column("revoked_at", UtcDateTime, nullable=True, comment="NULL = in force"),
        sa.PrimaryKeyConstraint("portfolio", "source", name=op.f("pk_tidemark_source_grants")),
    )
    op.create_index(
        "uq_tidemark_source_grants_made_by_load",
        _TABLE,
        ["source"],
        unique=True,
        postgresql_where=sa.text("made_by_load"),
        sqlite_where=sa.text("made_by_load"),
    )
    _grant_what_is_there(op.get_bind())


def _grant_what_is_there(connection: sa.Connection) -> None:
    wanted = {
        (row.portfolio, source)
        for row in connection.execute(sa.text(_DEFINITIONS))
        for source in _sources_of(json.loads(row.definition))
    }
    order = [row.name for row in connection.execute(sa.text(_MAKERS))]
    made = set[str]()
    granted = set[tuple[str, str]]()
    for portfolio, source in sorted(wanted, key=lambda one: (order.index(one[0]), one[1])):
        try:
            name = name_source(connection, source)
        except SourceReservedError:  # was never meant to be read, and is not from now on
            continue
        if (portfolio, name) not in granted:
            granted.add((portfolio, name))
            is_made = name not in made and _looks_loaded(connection, name)
            made |= {name} if is_made else set()
            _insert(connection, portfolio, name, made_by_load=is_made)


def _sources_of(definition: dict[str, Any]) -> list[str]:
    records = (definition.get("retraining") or {}).get("records")
    return [definition["source"], *([records] if records else [])]


def _looks_loaded(connection: sa.Connection, name: str) -> bool:
    if find_kind(connection, name) != "table":
        return False
    schema, table = split_source(name)
    return any(one["name"] == "tidemark_row" for one in sa.inspect(connection).get_columns(table, schema=schema))


def _insert(connection: sa.Connection, portfolio: str, name: str, *, made_by_load: bool) -> None:
    grants = sa.table(
        _TABLE, *(sa.column(one) for one in ("portfolio", "source", "made_by_load", "granted_by", "granted_at"))
    )
    values = {"portfolio": portfolio, "source": name, "made_by_load": made_by_load, "granted_by": _WHO}
    connection.execute(sa.insert(grants).values(**values, granted_at=now_plus()))
    events = sa.table("tidemark_events", *(sa.column(one) for one in ("at", "portfolio", "event", "who", "why")))
    told = {"portfolio": portfolio, "event": "source.granted", "who": _WHO, "why": name}
    connection.execute(sa.insert(events).values(**told, at=now_plus()))
