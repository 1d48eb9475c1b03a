"""Makes a state folder accessible only to its owner, whatever the umask, and tightens an existing one.

Standard library alone.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

FOLDER_MODE, FILE_MODE = 0o700, 0o600
_OF_OTHERS = 0o077
_FOLDERS = ("logs", "models", "run", "redis", "scratch", "demo")
_FILES = ("tidemark.db", "tidemark.db-wal", "tidemark.db-shm", "api-key", "dashboard-secret", "logs/*", "run/*")


def make_private_folder(folder: Path) -> None:
    """Create a folder, with its parents, that only this user can enter; an existing one is not changed."""
    if not folder.exists():
        make_private_folder(folder.parent)
        folder.mkdir(mode=FOLDER_MODE, exist_ok=True)


def make_private_file(path: Path) -> None:
    """Create an empty file that only this user can read; an existing one is not changed."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, FILE_MODE))


def open_private_log(path: Path) -> BinaryIO:
    """Open a file for appending; create it and its folder for this user only if they are missing."""
    make_private_folder(path.parent)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, FILE_MODE), "ab")


def tighten(home: Path) -> None:
    """Restrict a state folder and Tidemark's files in it to this user, if they belong to this user."""
    for path in _found_in(home):
        with suppress(OSError):  # deleted meanwhile, or a read-only file system: `list_open` reports it
            if _is_open(path) and _why_not_ours(path) is None:
                path.chmod(stat.S_IMODE(path.lstat().st_mode) & FOLDER_MODE)


def list_open(home: Path) -> list[tuple[Path, str]]:
    """Return what others can still access in a state folder, and why it was not changed."""
    found: list[tuple[Path, str]] = []
    for path in _found_in(home):
        with suppress(FileNotFoundError):
            if _is_open(path):
                found.append((path, _why_not_ours(path) or "the next command restricts it to its owner"))
    return found


def _is_open(path: Path) -> bool:
    mode = path.lstat().st_mode
    return stat.S_ISLNK(mode) or bool(mode & _OF_OTHERS)


def _why_not_ours(path: Path) -> str | None:
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        return "a link to another place"
    if found.st_uid != os.getuid():
        return "it belongs to another user"
    return "a home folder contains more than Tidemark's files" if path.resolve() in {Path.home(), Path("/")} else None


def _found_in(home: Path) -> Iterator[Path]:
    home = Path(os.path.abspath(home.expanduser()))  # noqa: PTH100 - `resolve` would follow a link
    if not hasattr(os, "getuid") or not home.exists():  # on Windows rights are inherited
        return
    yield home
    yield from (home / name for name in _FOLDERS if os.path.lexists(home / name))
    yield from (path for pattern in _FILES for path in sorted(home.glob(pattern)))
