"""The key of the local installation: created at the first start, in a file that only its owner can read."""

import os
from pathlib import Path

from db.access.api_keys import KeyRequest, check_key, create_key
from db.connections.engine import Engine
from db.connections.private_files import make_private_folder
from db.schema.states import KeyRole
from scheduler.client.local_api import KEY_FILE


def ensure_local_key(engine: Engine, home: Path) -> None:
    """Create the key of this state folder, unless its file has one that is valid in this database."""
    path = home / KEY_FILE
    if path.exists() and check_key(engine, path.read_text(encoding="utf-8").strip()) is not None:
        return
    text, _ = create_key(engine, KeyRequest("local", KeyRole.ADMIN), who="tidemark")
    _write_private(path, text + "\n")


def _write_private(path: Path, text: str) -> None:
    make_private_folder(path.parent)
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    fresh.replace(path)
