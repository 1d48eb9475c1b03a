"""The table of grants: which tables and views a portfolio may read, and which of them `load` made for it."""

from sqlalchemy import Boolean, Column, Index, Table, Text, text

from db.connections.clock import UtcDateTime, now_plus
from db.schema.core_tables import PREFIX, metadata

__all__ = ["metadata", "source_grants"]

source_grants = Table(
    f"{PREFIX}source_grants",
    metadata,
    # No foreign key: a source may be granted before the portfolio is added.
    Column("portfolio", Text, primary_key=True),
    Column(
        "source", Text, primary_key=True, comment="as the database names it: db.portfolios.source_names.name_source"
    ),
    Column("made_by_load", Boolean, nullable=False, default=False, comment="load may replace it, erasure changes it"),
    Column("granted_by", Text, nullable=False),
    Column("granted_at", UtcDateTime, nullable=False, default=now_plus()),
    Column("revoked_at", UtcDateTime, comment="NULL = in force"),
)
Index(
    "uq_tidemark_source_grants_made_by_load",
    source_grants.c.source,
    unique=True,
    postgresql_where=text("made_by_load"),
    sqlite_where=text("made_by_load"),
)
