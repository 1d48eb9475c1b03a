"""The address and key of the API of this machine's state folder. Only needs the standard library."""

import json
from dataclasses import dataclass
from pathlib import Path

KEY_FILE = "api-key"
ADDRESS_FILE = "run/api.json"


@dataclass(frozen=True)
class LocalApi:
    """Where the API of a state folder answers, and the key for it."""

    url: str
    key: str


def find_local_address(home: Path) -> tuple[str, int] | None:
    """Return where the API of a state folder answers, and its process; None if it does not run."""
    try:
        noted = json.loads((home / ADDRESS_FILE).read_text(encoding="utf-8"))
        return str(noted["url"]), int(noted["pid"])
    except (OSError, ValueError, KeyError):
        return None


def find_local_api(home: Path) -> LocalApi | None:
    """Return address and key of the API of a state folder, None if it does not run or has no key."""
    try:
        address = json.loads((home / ADDRESS_FILE).read_text(encoding="utf-8"))
        key = (home / KEY_FILE).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    return LocalApi(str(address["url"]), key)
