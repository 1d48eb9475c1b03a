"""The key of the local installation: made at the first start, in a file that its owner alone can read."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from db.api_keys import KeyRequest, check_key, create_key
from db.engine import Engine
from db.states import KeyRole

_KEY_FILE, _ADDRESS_FILE = "api-key", "run/api.json"


@dataclass(frozen=True)
class LocalApi:
    """Where the API of a state folder answers, and the key for it."""

    url: str
    key: str


def ensure_local_key(engine: Engine, home: Path) -> None:
    """Make the key of this state folder, unless its file holds one that is valid in this database."""
    path = home / _KEY_FILE
    if path.exists() and check_key(engine, path.read_text(encoding="utf-8").strip()) is not None:
        return
    text, _ = create_key(engine, KeyRequest("local", KeyRole.ADMIN), who="tidemark")
    _write_private(path, text + "\n")


def write_address(home: Path, url: str) -> None:
    """Note where the API answers."""
    path = home / _ADDRESS_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"url": url, "pid": os.getpid()}), encoding="utf-8")


def forget_address(home: Path) -> None:
    """Take the note away."""
    (home / _ADDRESS_FILE).unlink(missing_ok=True)


def find_local_api(home: Path) -> LocalApi | None:
    """Return address and key of the API of a state folder, None where it does not run or has no key."""
    try:
        address = json.loads((home / _ADDRESS_FILE).read_text(encoding="utf-8"))
        key = (home / _KEY_FILE).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    return LocalApi(str(address["url"]), key)


def _write_private(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    fresh.replace(path)
