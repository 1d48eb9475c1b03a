"""Facts about the database that `doctor` looks at."""

from datetime import datetime

from sqlalchemy import Engine, func, select, text

from db.clock import now_plus
from db.engine import reading
from db.states import ShardState
from db.tables import shards


def database_version(engine: Engine) -> str:
    """Return product and version of the database server."""
    with reading(engine) as connection:
        if connection.dialect.name == "postgresql":
            return f"PostgreSQL {connection.execute(text('SHOW server_version')).scalar_one()}"
        return f"SQLite {connection.execute(text('SELECT sqlite_version()')).scalar_one()}"


def read_database_time(engine: Engine) -> datetime:
    """Return the database's present time."""
    with reading(engine) as connection:
        return connection.execute(select(now_plus())).scalar_one()


def count_expired_leases(engine: Engine) -> int:
    """Return how many running shards have a lease that is over, or was never written."""
    is_over = func.coalesce(shards.c.lease_until, now_plus(-1)) < now_plus()
    statement = select(func.count()).select_from(shards).where(shards.c.state == ShardState.RUNNING, is_over)
    with reading(engine) as connection:
        return connection.execute(statement).scalar_one()
