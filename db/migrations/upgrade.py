"""Makes Tidemark's tables in a new database, and brings those of an older release up to date."""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect

from db.connections.engine import reading, writing
from db.errors import SchemaOutdatedError
from db.schema.core_tables import PREFIX

VERSION_TABLE = f"{PREFIX}schema_version"
_LOCK_NUMBER = 7_243_001  # any constant: two processes at once make the tables one after the other
_NO_VERSION = "none"


def prepare_database(engine: Engine) -> bool:
    """Create the tables if the database has none of Tidemark's; return whether they were created.

    Raises `SchemaOutdatedError` if they exist in another version, which is only upgraded on request.
    """
    found, expected = schema_versions(engine)
    if found == expected:
        return False
    if found != _NO_VERSION:
        raise SchemaOutdatedError(found, expected)
    return upgrade_database(engine) == _NO_VERSION


def upgrade_database(engine: Engine) -> str:
    """Run all migrations in one transaction and return the previous version ("none" for no tables)."""
    with writing(engine) as connection:
        _wait_for_other_upgrades(connection)
        before = _found_version(connection)
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return before


def schema_versions(engine: Engine) -> tuple[str, str]:
    """Return the version the database has ("none" without tables) and the one this program needs."""
    with reading(engine) as connection:
        return _found_version(connection), _expected_version()


def _found_version(connection: Connection) -> str:
    if not inspect(connection).has_table(VERSION_TABLE):
        return _NO_VERSION
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    return context.get_current_revision() or _NO_VERSION


@cache
def _expected_version() -> str:
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None, "the package holds at least one migration"
    return head


def _wait_for_other_upgrades(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK_NUMBER})")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("recursive_version_locations", "true")
    return config
