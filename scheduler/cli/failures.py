"""Turns every error into one clear message and the right exit code: one table."""

import os
import sys
import traceback
from pathlib import Path

from scheduler.cli.exit_codes import FAILED, INTERRUPTED, UNUSABLE, WRONG_USAGE
from scheduler.cli.missing_package import describe_missing_package
from scheduler.cli.output import Output


def report_failure(error: BaseException, *, usage: str | None, wants_json: bool) -> int:
    """Print the error on standard error (and as JSON if requested) and return the exit code."""
    code, message = describe_failure(error, usage)
    if message:
        sys.stderr.write(f"{message}\n" if message.startswith("Usage:") else f"tidemark: {message}\n")
    if wants_json and message:
        Output(wants_json=True).emit({"error": {"type": type(error).__name__, "message": message, "exit_code": code}})
    return code


def describe_failure(error: BaseException, usage: str | None = None) -> tuple[int, str]:
    """Return exit code and message of an error."""
    from scheduler.errors import UnusableScoresError

    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED, "interrupted"
    if usage is not None:
        return WRONG_USAGE, usage if usage.startswith("Usage:") else f"{usage} (tidemark --help shows every command)"
    if (wrong := _describe_wrong_settings(error)) is not None:
        return WRONG_USAGE, wrong
    if _is_wrong_usage(error):
        return WRONG_USAGE, str(error)
    if _is_known(error):
        return UNUSABLE if isinstance(error, UnusableScoresError) else FAILED, str(error)
    missing = describe_missing_package(error) if isinstance(error, ModuleNotFoundError) else None
    return FAILED, missing or _describe_unexpected(error)


def _describe_wrong_settings(error: BaseException) -> str | None:
    from pydantic import ValidationError

    from db.settings import describe_invalid_settings

    return describe_invalid_settings(error) if isinstance(error, ValidationError) else None


def _is_wrong_usage(error: BaseException) -> bool:
    from db import errors as db_errors
    from scheduler.errors import UsageError

    asked_wrongly = (
        UsageError,
        db_errors.NotFoundError,
        db_errors.SourceError,
        db_errors.KeyTypeError,
        db_errors.StateConflictError,
        db_errors.IdempotencyConflictError,
    )
    return isinstance(error, asked_wrongly)


def _is_known(error: BaseException) -> bool:
    from db.errors import DatabaseError
    from scheduler.errors import SchedulerError

    return isinstance(error, (DatabaseError, SchedulerError, OSError))


def _describe_unexpected(error: BaseException) -> str:
    """Keep the traceback in a file: the user sees one line, the developer finds the rest."""
    from db.connections.private_files import open_private_log

    message = f"unexpected {type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
    path = Path(os.environ.get("TIDEMARK_HOME", ".tidemark")) / "logs" / "last-error.txt"
    try:
        path.unlink(missing_ok=True)
        with open_private_log(path) as file:
            file.write("".join(traceback.format_exception(error)).encode(errors="replace"))
    except OSError:
        return message
    return f"{message}. This is a bug in Tidemark; the details are in {path}"
