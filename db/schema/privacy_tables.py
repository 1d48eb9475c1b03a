"""Tables of privacy: whom a running shard may not write any more, every source of a portfolio, facts told once."""

from sqlalchemy import Column, ForeignKey, Integer, Table, Text

from db.connections.clock import UtcDateTime, now_plus
from db.schema.core_tables import PREFIX, metadata, portfolios

erased_keys = Table(
    f"{PREFIX}erased_keys",
    metadata,
    Column("portfolio", Text, ForeignKey(portfolios.c.name), primary_key=True),
    Column("erasure", Integer, primary_key=True, autoincrement=False, comment="number of the erasure in its portfolio"),
    Column("mark", Text, primary_key=True, comment="HMAC-SHA256 of the key under the salt of the installation"),
    Column("erased_at", UtcDateTime, nullable=False, default=now_plus()),
)

portfolio_sources = Table(
    f"{PREFIX}portfolio_sources",
    metadata,
    Column("portfolio", Text, ForeignKey(portfolios.c.name), primary_key=True),
    Column("source", Text, primary_key=True),
    Column("key", Text, primary_key=True, comment="the column that named its records"),
    Column("since", UtcDateTime, nullable=False, default=now_plus()),
)

installation_facts = Table(
    f"{PREFIX}installation_facts",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
