"""The migrations build what `tables.py` says, once, and never change a database that holds data unasked."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from db.connections.engine import open_engine, opened_engine, reading, writing
from db.errors import DatabaseError, SchemaOutdatedError
from db.ledger.job_lifecycle import JobRequest, submit_job
from db.migrations.upgrade import VERSION_TABLE, prepare_database, schema_versions
from db.schema.all_tables import metadata
from db.schema.states import JobKind
from tests.building import BOOK, load_book


def test_migrated_schema_equals_the_tables(engine: Engine) -> None:
    with reading(engine) as connection:
        options = {"version_table": VERSION_TABLE, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []


def test_check_constraints_of_the_tables_are_in_the_database(engine: Engine) -> None:
    load_book(engine, [1])
    job_id = submit_job(engine, JobRequest(JobKind.TRAINING, BOOK, "test", {}))
    wrong = text("UPDATE tidemark_jobs SET state = 'nonsense' WHERE id = :id")
    with pytest.raises(IntegrityError, match="state_known"), writing(engine) as connection:
        connection.execute(wrong, {"id": job_id})


def test_preparing_twice_makes_the_tables_once(empty_database_url: str) -> None:
    with opened_engine(empty_database_url) as engine:
        assert [prepare_database(engine), prepare_database(engine)] == [True, False]


def test_four_processes_at_once_make_the_tables_once(empty_database_url: str) -> None:
    with ExitStack() as opened, ThreadPoolExecutor(4) as pool:
        engines = [opened.enter_context(opened_engine(empty_database_url)) for _ in range(4)]
        made = list(pool.map(prepare_database, engines))
    assert made.count(True) == 1


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
