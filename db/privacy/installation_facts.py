"""Facts of the installation as names and values: written once, never changed."""

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from db.schema.privacy_tables import installation_facts


def find_fact(connection: Connection, name: str) -> str | None:
    """Return a fact, or None if it is not stored yet."""
    found = select(installation_facts.c.value).where(installation_facts.c.name == name)
    return connection.execute(found).scalar()


def tell_fact(connection: Connection, name: str, value: str) -> str:
    """Store a fact in the caller's transaction, and return it; of two concurrent writers the first one wins."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    fact = dialect.insert(installation_facts).values(name=name, value=value)
    connection.execute(fact.on_conflict_do_nothing())
    return find_fact(connection, name) or value
