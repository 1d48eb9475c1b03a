"""Overwrites the bytes of deleted rows in SQLite's database file, and empties its write-ahead log."""

import sqlite3
from typing import cast

from sqlalchemy import Engine

from db.connections.engine import reading, translated_errors, writing
from db.erasure.erasure_proof import Place
from db.errors import DatabaseError
from db.privacy.installation_facts import find_fact, tell_fact

FREE_SPACE = "free space of the database file"
LOG = "write-ahead log"
LOG_WAIT_SECONDS = 10.0  # for readers of an older state of the database
_FACT = "free_space"


def overwrite_free_space(engine: Engine) -> Place | None:
    """Rewrite a SQLite file once if an older release has deleted rows without overwriting; None on PostgreSQL."""
    if engine.dialect.name != "sqlite":
        return None
    with reading(engine) as connection:
        if find_fact(connection, _FACT) is not None:
            return Place(FREE_SPACE, note="what is deleted is overwritten")
    try:
        with translated_errors(engine), engine.connect() as connection:
            cast("sqlite3.Connection", connection.connection.driver_connection).execute("VACUUM")
        with writing(engine) as connection:
            tell_fact(connection, _FACT, "overwritten")
    except (DatabaseError, sqlite3.Error) as error:
        advice = (
            "free enough space for a second copy of the file, or wait until no other process writes, then erase again"
        )
        return Place(FREE_SPACE, unseen=f"the file could not be rewritten ({error}): {advice}")
    return Place(FREE_SPACE, note="the file was rewritten")


def empty_log(engine: Engine) -> Place | None:
    """Empty the write-ahead log, which has old copies of pages, into the database; None on PostgreSQL.

    The log remains if someone reads an older state for longer than `LOG_WAIT_SECONDS`, because the reader needs it.
    """
    if engine.dialect.name != "sqlite":
        return None
    with translated_errors(engine), engine.connect() as connection:
        driver = cast("sqlite3.Connection", connection.connection.driver_connection)
        (usual,) = driver.execute("PRAGMA busy_timeout").fetchone()
        driver.execute(f"PRAGMA busy_timeout={round(LOG_WAIT_SECONDS * 1000)}")
        try:
            is_busy, *_pages = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            driver.execute(f"PRAGMA busy_timeout={usual}")
    if not is_busy:
        return Place(LOG, note="emptied")
    advice = "another reader still uses an older state of the database: let it finish, then erase again"
    return Place(LOG, left=1, note=advice, is_pending=True)
