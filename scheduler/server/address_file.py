"""Records the API's address, for clients on this machine."""

import json
import os
from pathlib import Path

from db.connections.private_files import make_private_folder
from scheduler.client.local_api import ADDRESS_FILE


def write_address(home: Path, url: str) -> None:
    """Store the API's address."""
    path = home / ADDRESS_FILE
    make_private_folder(path.parent)
    path.write_text(json.dumps({"url": url, "pid": os.getpid()}), encoding="utf-8")


def forget_address(home: Path) -> None:
    """Delete the note."""
    (home / ADDRESS_FILE).unlink(missing_ok=True)
