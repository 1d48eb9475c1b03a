"""Erasures are counted and erased keys marked; every source that a portfolio had is remembered; facts of the house."""

import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

from db.connections.clock import UtcDateTime, now_plus

revision = "0019"
down_revision = "0018"

_PORTFOLIOS = "tidemark_portfolios"


def upgrade() -> None:
    """Add the columns and tables, and remember the sources that stored definitions name."""
    count = sa.Column("erasures", sa.Integer(), nullable=False, server_default="0")
    count.comment = "persons erased so far; only ever grows"
    op.add_column(_PORTFOLIOS, count)
    claimed = sa.Column("claimed_erasures", sa.Integer(), nullable=False, server_default="0")
    claimed.comment = "its portfolio's, at the claim"
    op.add_column("tidemark_shards", claimed)
    _add_erased_keys()
    sources = _add_sources()
    facts = _add_facts()
    named = sorted(set(_named_sources(op.get_bind())))
    if named:
        names = ("portfolio", "source", "key")
        rows: list[dict[str, Any]] = [dict(zip(names, row, strict=True)) for row in named]
        op.get_bind().execute(sa.insert(sources).values(since=now_plus()), rows)
    elif (
        op.get_bind().dialect.name == "sqlite"
    ):  # a new file: no row was ever deleted from it without being overwritten
        op.get_bind().execute(sa.insert(facts).values(name="free_space", value="overwritten"))


def _add_erased_keys() -> None:
    op.create_table(
        "tidemark_erased_keys",
        sa.Column("portfolio", sa.Text(), nullable=False),
        sa.Column("erasure", sa.Integer(), nullable=False, comment="number of the erasure in its portfolio"),
        sa.Column(
            "mark", sa.Text(), nullable=False, comment="HMAC-SHA256 of the key under the salt of the installation"
        ),
        sa.Column("erased_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["portfolio"], [f"{_PORTFOLIOS}.name"], name=op.f("fk_tidemark_erased_keys_portfolio")),
        sa.PrimaryKeyConstraint("portfolio", "erasure", "mark", name=op.f("pk_tidemark_erased_keys")),
    )


def _add_sources() -> sa.Table:
    return op.create_table(
        "tidemark_portfolio_sources",
        sa.Column("portfolio", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False, comment="the column that named its records"),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["portfolio"], [f"{_PORTFOLIOS}.name"], name=op.f("fk_tidemark_portfolio_sources_portfolio")
        ),
        sa.PrimaryKeyConstraint("portfolio", "source", "key", name=op.f("pk_tidemark_portfolio_sources")),
    )


def _add_facts() -> sa.Table:
    return op.create_table(
        "tidemark_installation_facts",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_tidemark_installation_facts")),
    )


def _named_sources(connection: sa.Connection) -> Iterator[tuple[str, str, str]]:
    statements = (
        "SELECT name, definition FROM tidemark_portfolios",
        "SELECT DISTINCT portfolio, definition FROM tidemark_jobs",
        "SELECT DISTINCT portfolio, definition FROM tidemark_model_versions",
    )
    for statement in statements:
        for portfolio, definition in connection.execute(sa.text(statement)):
            told = json.loads(definition)
            records = told.get("retraining", {}).get("records")
            for source in (told["source"], records):
                if source is not None:
                    yield portfolio, source, told["key"]
