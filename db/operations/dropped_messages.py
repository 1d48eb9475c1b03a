"""Counts of dropped foreign messages by queue, never their content."""

from collections.abc import Mapping

from sqlalchemy import Connection, Engine, select
from sqlalchemy.dialects import postgresql, sqlite

from db.connections.engine import writing
from db.schema.core_tables import dropped_messages


def add_dropped(engine: Engine, counts: Mapping[str, int]) -> None:
    """Add to the counts of some queues."""
    dialect = postgresql if engine.dialect.name == "postgresql" else sqlite
    with writing(engine) as connection:
        for queue, count in sorted(counts.items()):
            added = dialect.insert(dropped_messages).values(queue=queue, dropped=count)
            grown = {"dropped": dropped_messages.c.dropped + count}
            connection.execute(added.on_conflict_do_update(index_elements=[dropped_messages.c.queue], set_=grown))


def read_dropped(connection: Connection) -> dict[str, int]:
    """Return the number of messages dropped so far, by queue."""
    rows = connection.execute(select(dropped_messages.c.queue, dropped_messages.c.dropped))
    return {row[0]: row[1] for row in rows}
