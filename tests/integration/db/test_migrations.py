"""The migrations build what `tables.py` says, once, and never change a database that holds data unasked."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, text

from db.engine import open_engine, reading, writing
from db.errors import DatabaseError, SchemaOutdatedError
from db.tables import metadata
from db.upgrade import VERSION_TABLE, prepare_database, schema_versions


def test_migrated_schema_equals_the_tables(engine: Engine) -> None:
    with reading(engine) as connection:
        options = {"version_table": VERSION_TABLE, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []


def test_check_constraints_of_the_tables_are_in_the_database(engine: Engine) -> None:
    with writing(engine) as connection, pytest.raises(Exception, match="state_known"):
        connection.execute(text("INSERT INTO tidemark_portfolios VALUES ('a','a','{}','f','2026-01-01','2026-01-01')"))
        connection.execute(
            text(
                "INSERT INTO tidemark_jobs (kind, portfolio, state, priority, request_fingerprint, requested_by, "
                "definition, options, inputs, scored, rejected, shards_total, shards_open, shards_failed, created_at) "
                "VALUES ('scoring','a','nonsense',1,'f','me','{}','{}',0,0,0,0,0,0,'2026-01-01')"
            )
        )


def test_preparing_twice_makes_the_tables_once(database_url: str) -> None:
    engine = open_engine(database_url)
    assert [prepare_database(engine), prepare_database(engine)] == [True, False]
    engine.dispose()


def test_four_processes_at_once_make_the_tables_once(database_url: str) -> None:
    engines = [open_engine(database_url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(prepare_database, engines))
    assert made.count(True) == 1
    for engine in engines:
        engine.dispose()


def test_an_older_schema_is_not_changed_unasked(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = 'older'"))
    with pytest.raises(SchemaOutdatedError, match="tidemark database upgrade"):
        prepare_database(engine)
    assert schema_versions(engine)[0] == "older"


@pytest.mark.parametrize("url", ["mysql://x", "nonsense", "sqlite://", "sqlite:///:memory:"])
def test_a_url_that_is_not_supported_is_told_without_its_text(url: str) -> None:
    with pytest.raises(DatabaseError, match="TIDEMARK_DATABASE_URL"):
        open_engine(url)
