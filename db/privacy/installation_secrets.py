"""Random secrets of this installation, each created at its first use and stored only in the database."""

from secrets import token_hex

from sqlalchemy import Engine, select
from sqlalchemy.dialects import postgresql, sqlite

from db.connections.engine import writing
from db.schema.retraining_tables import secrets

HELD_OUT = "held_out_keys"  # under which keys are hashed in bundles where TIDEMARK_KEY_SECRET is not set


def get_or_make_secret(engine: Engine, name: str) -> str:
    """Return the secret of this name; the first call creates it, and every caller gets the same."""
    with writing(engine) as connection:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        made = dialect.insert(secrets).values(name=name, value=token_hex(32))
        connection.execute(made.on_conflict_do_nothing())
        return connection.execute(select(secrets.c.value).where(secrets.c.name == name)).scalar_one()
