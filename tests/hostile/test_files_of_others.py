"""The state folder holds people's data and keys: nobody but its owner may look into it, whatever the umask."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from db.connections.engine import open_engine
from db.connections.private_files import list_open, tighten
from db.migrations.upgrade import prepare_database
from db.settings import DatabaseSettings
from scheduler.installation.doctor import examine
from scheduler.installation.embedded_redis import EmbeddedRedis
from scheduler.installation.supervision import ChildProcess, Supervisor
from scheduler.reports.result_files import write_frames
from scheduler.server.address_file import write_address
from scheduler.server.local_key import ensure_local_key
from tests.waiting import wait_for
from worker.runtime.context import open_context
from worker.runtime.settings import WorkerSettings

OPEN_TO_OTHERS = 0o077


@contextmanager
def careless(umask: int = 0) -> Iterator[None]:
    """Give new files all rights, as a caller with such a umask does."""
    before = os.umask(umask)
    try:
        yield
    finally:
        os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def open_ones(home: Path) -> list[str]:
    """Return what others could reach from outside: whatever is open, in folders that are open too."""
    found = [home] if mode_of(home) & OPEN_TO_OTHERS else []
    for folder in (home, *(path for path in home.iterdir() if path.is_dir())):
        if folder == home or mode_of(folder) & OPEN_TO_OTHERS:
            found += [path for path in folder.iterdir() if mode_of(path) & OPEN_TO_OTHERS]
    return sorted(str(path.relative_to(home)) for path in found)


def test_everything_that_is_made_in_a_state_folder_is_its_owners_alone(tmp_path: Path) -> None:
    home = tmp_path / "new" / "home"
    with careless():
        engine = open_engine(f"sqlite:///{home / 'tidemark.db'}")
        prepare_database(engine)
        ensure_local_key(engine, home)
        write_address(home, "http://127.0.0.1:1")
        open_context(WorkerSettings(home=home), DatabaseSettings(home=home)).engine.dispose()
        child = ChildProcess(
            "talker", (sys.executable, "-c", "print('logged')"), os.environ, home / "logs" / "talker.log"
        )
        supervisor = Supervisor([child, EmbeddedRedis(home)], home / "run", on_event=lambda _text: None)
        supervisor.tend()
        wait_for((home / "logs" / "talker.log").read_bytes, 20, "the child to write its log")
        supervisor.stop()
        assert mode_of(home / "tidemark.db-wal") == 0o600
        engine.dispose()
    assert open_ones(home) == []
    assert {path.name for path in home.iterdir()} >= {"logs", "models", "run", "redis", "tidemark.db", "api-key"}
    assert mode_of(home) == mode_of(home / "models") == mode_of(home / "logs") == 0o700
    assert mode_of(home / "logs" / "talker.log") == mode_of(home / "logs" / "redis.log") == 0o600
    assert mode_of(home.parent) == 0o700, "a folder that was made on the way"


def old_home(tmp_path: Path) -> Path:
    """A state folder as an older release left it."""
    home = tmp_path / "home"
    with careless(0o022):
        for name in ("logs", "models/m1", "run", "redis"):
            (home / name).mkdir(parents=True)
        engine = open_engine(f"sqlite:///{home / 'tidemark.db'}")
        prepare_database(engine)
        engine.dispose()
        for name in ("logs/api.log", "run/api.json", "tidemark.db-wal", "tidemark.db-shm"):
            (home / name).touch()
    for path in (home / "tidemark.db", home / "tidemark.db-wal"):
        path.chmod(0o644)
    return home


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMARK_")}
    command = [sys.executable, "-m", "scheduler.cli.main", *arguments]
    environment = clean | {"TIDEMARK_HOME": str(home)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, umask=0)


def test_an_older_state_folder_is_tightened_by_the_next_command(tmp_path: Path) -> None:
    home = old_home(tmp_path)
    assert len(open_ones(home)) > 5
    (home / "models" / "m1" / "card.json").touch()
    assert run(home, "portfolio", "list").returncode == 0
    assert open_ones(home) == []
    assert mode_of(home / "tidemark.db") == 0o600
    assert mode_of(home / "logs" / "api.log") == 0o600


def test_what_a_link_leads_to_is_left_as_it_is_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o775)
    home = old_home(tmp_path)
    (home / "models").rename(tmp_path / "old models")
    (home / "models").symlink_to(shared)
    tighten(home)
    assert mode_of(shared) == 0o775
    assert [(path.name, why) for path, why in list_open(home)] == [("models", "a link to another place")]
    linked = tmp_path / "linked"
    linked.symlink_to(shared)
    tighten(linked)
    assert mode_of(shared) == 0o775
    monkeypatch.setenv("TIDEMARK_HOME", str(linked))
    monkeypatch.delenv("TIDEMARK_DATABASE_URL", raising=False)
    found = [one for one in examine() if one.check == "state folder"]
    assert [(one.state, str(linked) in one.found) for one in found] == [("warn", True)]
    assert "chmod 700" in found[0].advice


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives a folder to somebody else")
def test_what_belongs_to_somebody_else_is_left_as_it_is_and_named(tmp_path: Path) -> None:
    home = old_home(tmp_path)
    os.chown(home, 65534, 65534)
    os.chown(home / "logs", 65534, 65534)
    tighten(home)
    assert (mode_of(home), mode_of(home / "logs"), mode_of(home / "models")) == (0o755, 0o755, 0o700)
    assert [why for _, why in list_open(home)] == ["it belongs to another user"] * 2


def test_a_folder_that_is_somebodys_home_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = old_home(tmp_path)
    monkeypatch.setenv("HOME", str(home))
    tighten(home)
    assert mode_of(home) == 0o755
    assert mode_of(home / "tidemark.db") == 0o600


@pytest.mark.parametrize(("umask", "expected"), [(0o077, 0o600), (0o022, 0o644)])
def test_an_exported_file_has_the_rights_that_the_users_umask_gives(tmp_path: Path, umask: int, expected: int) -> None:
    with careless(umask):
        write_frames(tmp_path / "scores.csv", [], ("record_key",))
    assert mode_of(tmp_path / "scores.csv") == expected


def test_the_unit_for_systemd_keeps_its_state_closed() -> None:
    unit = (Path(__file__).parents[2] / "deploy" / "tidemark@.service").read_text().splitlines()
    assert {"UMask=0077", "StateDirectoryMode=0700"} <= set(unit)
