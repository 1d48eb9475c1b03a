"""The secret that signs the dashboard's cookies: a setting, or a file that only its owner can read."""

import os
import secrets
from contextlib import suppress
from logging import getLogger
from pathlib import Path

from db.connections.private_files import make_private_folder
from scheduler.api.problems import Problem
from scheduler.api_settings import ApiSettings

logger = getLogger(__name__)

_FILE = "dashboard-secret"
_BYTES = 32


def read_secret(settings: ApiSettings) -> str:
    """Return the secret; the first process in a state folder creates it, all others read it.

    Raises `Problem` (503) if the folder cannot be written and no secret is set.
    """
    if settings.dashboard_secret is not None:
        return settings.dashboard_secret.get_secret_value()
    path = settings.state_folder / _FILE
    try:
        if not path.exists():
            _make(path)
        return path.read_text(encoding="ascii").strip()
    except OSError as error:
        logger.error("The dashboard's cookie secret could not be created: %s: %s", path, error.strerror)  # noqa: TRY400 - the cause is logged
        detail = "the state folder cannot be written; set TIDEMARK_DASHBOARD_SECRET"
        raise Problem(503, "unavailable", detail) from error


def _make(path: Path) -> None:
    make_private_folder(path.parent)
    aside = path.with_name(f"{_FILE}.{os.getpid()}-{secrets.token_hex(4)}")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(_BYTES) + "\n")
    try:
        with suppress(FileExistsError):  # unlike a rename a link never replaces what another process has just made
            os.link(aside, path)
    finally:
        aside.unlink()
