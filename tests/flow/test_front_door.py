"""`run.py` as a user starts it, in a small project of its own: its uv installs nothing, its pytest is some lines."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import wait_for

ROOT = Path(__file__).parents[2]
OWN = "{}.{}".format(*sys.version_info)
OTHER = "3.13" if OWN != "3.13" else "3.11"
NEWEST_FOLDER, FAILED = f".venv-{OTHER}", 1
PYTEST = """
import os, pathlib, signal, sys
if os.environ.get("WAITS"):
    signal.signal(signal.SIGTERM, lambda *_: (print("servers stopped", flush=True), sys.exit(2)))
    pathlib.Path("waiting").touch()
    signal.pause()
folder = pathlib.Path(sys.prefix).name
print("tests in", folder, *[one for one in sys.argv[1:] if one.startswith("tests")], flush=True)
print("= 3 passed in 0.01s =")
sys.exit(folder == os.environ.get("FAILS"))
"""


class Clone:
    """A folder with `run.py`, and a PATH that holds what the test says and nothing else of Python."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = folder / "programs"
        self.programs.mkdir()
        for name in ("run.py", "run_environments.py"):
            (folder / name).write_bytes((ROOT / name).read_bytes())
        for name in ("requirements.lock", "requirements-test.lock", "pyproject.toml"):
            (folder / name).touch()
        (folder / "pytest.py").write_text(PYTEST)
        (folder / "transformer").mkdir()
        (folder / "transformer" / "precompile.py").touch()
        self.add_program("uv", "exit 0")

    def add_program(self, name: str, text: str) -> None:
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def add_python(self, version: str, instead: str = ":") -> None:
        """Put another Python on the PATH: this one, which says that it is another version."""
        wanted = version.replace(".", ", ")
        self.add_program(
            f"python{version}",
            f'case "$2" in *version_info*) echo "[{wanted}]"; exit;; esac; {instead}; exec "{sys.executable}" "$@"',
        )

    def start(self, *arguments: str, **settings: str) -> subprocess.Popen[str]:
        clean = {name: value for name, value in os.environ.items() if name not in {"CI", "PYTHONPATH"}}
        return subprocess.Popen(
            [sys.executable, str(self.folder / "run.py"), *arguments],
            env=clean | {"PATH": f"{self.programs}:/nowhere"} | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, expect: int = 0, **settings: str) -> tuple[list[str], str]:
        """Run a command; return the lines of standard output and the text of standard error."""
        process = self.start(*arguments, **settings)
        out, err = process.communicate(timeout=120)
        assert process.returncode == expect, (out, err)
        assert "Traceback" not in err
        return out.splitlines(), err


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


def test_one_python_runs_all_tests(clone: Clone) -> None:
    assert clone.run("test")[0] == ["tests in .venv", "= 3 passed in 0.01s ="]


def test_the_oldest_python_runs_all_tests_and_the_newest_the_unit_tests(clone: Clone) -> None:
    clone.add_python(OTHER)
    runs = [line for line in clone.run("test")[0] if line.startswith("tests")]
    older, newer = (".venv", NEWEST_FOLDER) if OTHER > OWN else (NEWEST_FOLDER, ".venv")
    assert runs == [f"tests in {newer} tests/unit", f"tests in {older}"]


def test_the_closing_lines_of_pytest_stay(clone: Clone) -> None:
    clone.add_python(OTHER)
    out, _ = clone.run("test")
    assert out.count("= 3 passed in 0.01s =") == 2
    assert out[-1] == "= 3 passed in 0.01s ="


@pytest.mark.parametrize("folder", [".venv", NEWEST_FOLDER])
def test_either_run_that_fails_fails_the_command(clone: Clone, folder: str) -> None:
    clone.add_python(OTHER)
    out, err = clone.run("test", expect=FAILED, FAILS=folder)
    assert len([line for line in out if line.startswith("tests")]) == 2
    assert "failed: Python" in err


def test_arguments_run_what_they_name_on_the_one_python(clone: Clone) -> None:
    clone.add_python(OTHER)
    assert clone.run("test", "tests/flow")[0][0] == "tests in .venv tests/flow"
    assert not (clone.folder / NEWEST_FOLDER).exists()


def test_a_quick_run_names_its_folders_and_runs_on_the_one_python(clone: Clone) -> None:
    clone.add_python(OTHER)
    assert clone.run("test", "--quick")[0][0] == "tests in .venv tests/unit tests/integration"
    assert not (clone.folder / NEWEST_FOLDER).exists()


def test_help_for_the_tests_installs_nothing(clone: Clone) -> None:
    assert "--quick" in "\n".join(clone.run("test", "--help")[0])
    assert not (clone.folder / ".venv").exists()


@pytest.mark.parametrize(("ci", "code"), [("", 0), ("true", FAILED)])
def test_a_second_environment_that_cannot_be_made_is_told_and_fails_only_ci(clone: Clone, ci: str, code: int) -> None:
    clone.add_python(OTHER, instead='echo "no network" >&2; [ "$2" = venv ] && exit 1')
    out, err = clone.run("test", expect=code, CI=ci)
    (line,) = [line for line in err.splitlines() if "left out, " in line and OTHER in line]
    assert line.endswith(f"{NEWEST_FOLDER} could not be made: no network")
    assert "tests in .venv" in out


def test_a_shim_without_its_python_is_passed_over(clone: Clone) -> None:
    clone.add_program(f"python{OTHER}", 'echo "command not found" >&2; exit 127')
    assert clone.run("test")[0][0] == "tests in .venv"


def test_a_signal_waits_until_the_tests_have_stopped_their_servers(clone: Clone) -> None:
    clone.add_python(OTHER)
    process = clone.start("test", WAITS="1")
    wait_for((clone.folder / "waiting").exists, 60, "the tests to run")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out.count("servers stopped")) == (130, 1), err


def test_a_link_in_the_place_of_the_environment_is_left_alone(
    clone: Clone, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "mine").write_text("kept")
    (clone.folder / ".venv").symlink_to(elsewhere)
    refused(clone, f"a symbolic link to {elsewhere}")
    assert [path.name for path in elsewhere.iterdir()] == ["mine"]


def test_a_link_to_nothing_is_left_alone(clone: Clone) -> None:
    (clone.folder / ".venv").symlink_to(clone.folder / "nothing")
    refused(clone, "a symbolic link")
    assert not (clone.folder / "nothing").exists()


def test_a_file_in_the_place_of_the_environment_is_left_alone(clone: Clone) -> None:
    (clone.folder / ".venv").write_text("kept")
    refused(clone, "a file")
    assert (clone.folder / ".venv").read_text() == "kept"


def test_an_environment_of_somebody_else_is_left_alone(clone: Clone) -> None:
    theirs = clone.folder / ".venv"
    (theirs / "bin").mkdir(parents=True)
    (theirs / "pyvenv.cfg").write_text("version = 3.8")
    refused(clone, "a folder that run.py did not make")
    assert sorted(path.name for path in theirs.iterdir()) == ["bin", "pyvenv.cfg"]


def refused(clone: Clone, found: str) -> None:
    out, err = clone.run("test", expect=FAILED)
    assert out == []
    (line,) = err.splitlines()
    assert f"{clone.folder / '.venv'} is {found}" in line
    assert "expected nothing there, or an environment that run.py made" in line
    assert "mv .venv .venv-mine" in line


def test_an_empty_folder_and_what_a_killed_installation_left_are_used(clone: Clone) -> None:
    (clone.folder / ".venv").mkdir()
    (clone.folder / ".venv" / "run.lock").touch()
    clone.run("test")
    state = clone.folder / ".venv" / "run-state.json"
    state.write_text('{"unfinished": true}')
    (clone.folder / ".venv" / "left").touch()
    assert "Making .venv" in clone.run("test")[1]
    assert not (clone.folder / ".venv" / "left").exists()
    assert clone.run("test")[1] == ""
