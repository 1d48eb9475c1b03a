"""Where the API of this machine's state folder answers, and the key for it. Standard library alone: clients read it."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from db.private_files import make_private_folder

KEY_FILE = "api-key"
_ADDRESS_FILE = "run/api.json"


@dataclass(frozen=True)
class LocalApi:
    """Where the API of a state folder answers, and the key for it."""

    url: str
    key: str


def write_address(home: Path, url: str) -> None:
    """Note where the API answers."""
    path = home / _ADDRESS_FILE
    make_private_folder(path.parent)
    path.write_text(json.dumps({"url": url, "pid": os.getpid()}), encoding="utf-8")


def forget_address(home: Path) -> None:
    """Take the note away."""
    (home / _ADDRESS_FILE).unlink(missing_ok=True)


def find_local_address(home: Path) -> tuple[str, int] | None:
    """Return where the API of a state folder answers, and its process; None where it does not run."""
    try:
        noted = json.loads((home / _ADDRESS_FILE).read_text(encoding="utf-8"))
        return str(noted["url"]), int(noted["pid"])
    except (OSError, ValueError, KeyError):
        return None


def find_local_api(home: Path) -> LocalApi | None:
    """Return address and key of the API of a state folder, None where it does not run or has no key."""
    try:
        address = json.loads((home / _ADDRESS_FILE).read_text(encoding="utf-8"))
        key = (home / KEY_FILE).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    return LocalApi(str(address["url"]), key)
