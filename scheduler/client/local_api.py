"""The address and key of the API of this machine's state folder. Only needs the standard library."""

import json
from dataclasses import dataclass
from pathlib import Path

KEY_FILE = "api-key"
ADDRESS_FILE = "run/api.json"


@dataclass(frozen=True)
class LocalApi:
    """The address and key of a state folder's API."""

    url: str
    key: str


def find_local_address(home: Path) -> tuple[str, int] | None:
    """Return the address of a state folder's API, and its process; None if it is not running."""
    try:
        noted = json.loads((home / ADDRESS_FILE).read_text(encoding="utf-8"))
        return str(noted["url"]), int(noted["pid"])
    except (OSError, ValueError, KeyError):
        return None


def find_local_api(home: Path) -> LocalApi | None:
    """Return the address and key of a state folder's API; None if it is not running or has no key."""
    try:
        address = json.loads((home / ADDRESS_FILE).read_text(encoding="utf-8"))
        key = (home / KEY_FILE).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    return LocalApi(str(address["url"]), key)
