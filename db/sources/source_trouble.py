"""Translates errors of one book's table or view into errors of that book, so that other books continue."""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager

import adbc_driver_manager
import psycopg
from sqlalchemy import Engine, exc

from db.errors import DatabaseError, SourceBusyError, SourceError, SourceForbiddenError
from db.portfolios.definition import Source

_FORBIDDEN_CODE = "42501"  # of PostgreSQL
# Cancelled (statement_timeout, or by a person), lock_timeout, deadlock, out of memory, over a limit for one statement.
_BUSY_CODES = frozenset({"57014", "55P03", "40P01", "53200", "53400"})
_BUSY_SQLITE = "interrupted"
_GONE_CODES = frozenset({"42P01", "42703"})  # undefined table or column
_GONE_SQLITE = ("no such table", "no such column")


@contextmanager
def reading_source(engine: Engine, source: Source) -> Generator[None]:
    """Translate the database's errors when reading a source into `SourceForbiddenError` or `SourceBusyError`.

    Only statements that read the source may be inside. Errors of the whole database pass unchanged.
    """
    try:
        yield
    except SourceError:
        raise
    except (exc.DBAPIError, psycopg.Error, sqlite3.Error, adbc_driver_manager.Error, DatabaseError) as error:
        cause = _driver_error(error)
        code = getattr(cause, "sqlstate", None)
        reason = next(iter(str(cause).strip().splitlines()), type(cause).__name__)
        if code == _FORBIDDEN_CODE:
            raise SourceForbiddenError(source.name, engine.url.username, reason) from error
        if code in _BUSY_CODES or (isinstance(cause, sqlite3.Error) and reason == _BUSY_SQLITE):
            raise SourceBusyError(source.name, reason) from error
        raise


def is_about_missing(error: BaseException) -> bool:
    """Whether the database lacks a table or column that a statement names."""
    cause = _driver_error(error)
    is_gone = isinstance(cause, sqlite3.Error) and str(cause).startswith(_GONE_SQLITE)
    return is_gone or getattr(cause, "sqlstate", None) in _GONE_CODES


def _driver_error(error: BaseException) -> BaseException:
    """Our errors and SQLAlchemy's wrap those of the driver."""
    if isinstance(error, DatabaseError) and error.__cause__ is not None:
        return _driver_error(error.__cause__)
    return error.orig if isinstance(error, exc.DBAPIError) and error.orig is not None else error
