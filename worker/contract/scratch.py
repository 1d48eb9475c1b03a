"""Temporary folders of a process, and the removal of those whose process was killed.

A folder holds a lock for as long as its process lives. Files of a training have no name
(`transformer.records.record_store`); older releases gave them one.
"""

import shutil
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from logging import getLogger
from pathlib import Path

from filelock import FileLock, Timeout

logger = getLogger(__name__)

_PREFIX = "tidemark-"
_KINDS = ("upload", "bundle")
_NAMED_FILES = ("tidemark-book-*", "tidemark-inputs-*")
_LOCK = ".alive"
_FORGOTTEN_SECONDS = 24 * 3600.0  # what has no lock is left alone for so long


@contextmanager
def own_folder(kind: str) -> Generator[Path]:
    """Yield an empty folder that only this user can read; deleted at the end, or at a worker's start after a kill."""
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{kind}-") as name, FileLock(Path(name) / _LOCK):
        yield Path(name)


def remove_leftovers(scratch: Path) -> int:
    """Remove folders and files of dead processes of this host; return how many. Those of other hosts are kept."""
    gone = [path for path in _folders() if _is_abandoned(path)]
    for path in gone:
        shutil.rmtree(path, ignore_errors=True)
    held = _held_files()
    for path in (path for pattern in _NAMED_FILES for path in scratch.glob(pattern)):
        if (_is_old(path) if held is None else path.resolve() not in held) and path.is_file():
            path.unlink(missing_ok=True)
            gone.append(path)
    if gone:
        logger.info("Files of killed processes removed: %d.", len(gone))
    return len(gone)


def _folders() -> Iterator[Path]:
    for kind in _KINDS:
        yield from (path for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}{kind}-*") if path.is_dir())


def _is_abandoned(folder: Path) -> bool:
    lock = folder / _LOCK
    try:
        if not lock.exists():
            return _is_old(folder)
        with FileLock(lock, timeout=0):
            return True
    except (Timeout, OSError):
        return False


def _is_old(path: Path) -> bool:
    with suppress(OSError):
        return time.time() - path.stat().st_mtime > _FORGOTTEN_SECONDS
    return False


def _held_files() -> set[Path] | None:
    """The files that processes of this host have open; None if the system does not say."""
    processes = Path("/proc")
    if not (processes / "self" / "fd").is_dir():
        return None
    held: set[Path] = set()
    for folder in processes.glob("[0-9]*/fd"):
        with suppress(OSError):  # the process is gone, or another user's
            for link in folder.iterdir():
                with suppress(OSError):
                    held.add(link.readlink())
    return held
