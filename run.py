#!/usr/bin/env python3
"""The front door: makes the environment `.venv` beside this file, once, and runs a command in it.

Standard library alone. It also runs on Pythons too old for Tidemark, which get one clear line instead of a traceback.
"""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

OLDEST, NEWEST = (3, 11), (3, 13)
WRONG_USAGE, FAILED, INTERRUPTED = 64, 1, 130
LOG_TAIL_LINES = 20

HERE = Path(__file__).resolve().parent
VENV = HERE / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STATE = VENV / "run-state.json"  # how far the installation got; see `install`
LOCK = VENV / "run.lock"
LOG = VENV / "install.log"


class Command(NamedTuple):
    """What a word on the command line does. Several steps are all run, and all must succeed."""

    help: str
    lock: str
    steps: tuple
    runs_here: bool = False  # in the repository, rather than where the caller stands


RUN, TEST = "requirements.lock", "requirements-test.lock"
# Console scripts are avoided: their first line cannot hold a path with spaces.
IMPORT_LINTER = "from importlinter.cli import lint_imports_command; lint_imports_command()"
RUFF = (("-m", "ruff", "check", "."), ("-m", "ruff", "format", "--check", "."))
CHECKS = (*RUFF, ("-m", "basedpyright"), ("-c", IMPORT_LINTER))
# Two at a time: most tests wait for servers and processes. `run.py test -n 0` runs one after the other.
PYTEST = ("-m", "pytest", "-n", "2", "--dist", "loadfile")
FAULTS = (
    "-m",
    "pytest",
    "tests/faults",
    "tests/properties",
    "-m",
    "faults",
    "--whole-matrix",
    "-n",
    "2",
    "--durations=20",
)
COMMANDS = {
    "demo": Command("show the whole story on a small book", RUN, (("-m", "scheduler.cli.main", "demo"),)),
    "tidemark": Command("run the tidemark command itself", RUN, (("-m", "scheduler.cli.main"),)),
    "test": Command("run the tests; arguments go to pytest", TEST, (PYTEST,), runs_here=True),
    "faults": Command("run the whole fault matrix, with its slow parts", TEST, (FAULTS,), runs_here=True),
    "bench": Command(
        "run the benchmarks of speed; --quick takes some minutes", TEST, (("-m", "benchmarks"),), runs_here=True
    ),
    "docs": Command("build the documentation into site/; --serve shows it", TEST, (("-m", "docsite"),), runs_here=True),
    "check": Command("run ruff, basedpyright and import-linter", TEST, CHECKS, runs_here=True),
}


class RunError(Exception):
    """Something the user must know; its text is the whole message."""


def main(arguments):
    """Run one command and return its exit code."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    name, rest = arguments[0], arguments[1:]
    command = COMMANDS.get(name)
    if command is None or (len(command.steps) > 1 and rest):
        say(f"{name} takes no arguments" if command else f"there is no command {name!r}")
        print(usage(), file=sys.stderr)
        return WRONG_USAGE
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        return change_python()
    # TensorFlow needs 25 s to import without its bytecode and 5 s with it.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    prepare_environment(command.lock)
    return hand_over(command, rest)


def usage():
    """Return the list of commands."""
    lines = "\n".join(f"  {name:<10}{command.help}" for name, command in COMMANDS.items())
    first = "The first start installs all into .venv beside run.py."
    return f"usage: python3 run.py COMMAND [ARGUMENTS]\n\n{lines}\n\n{first}"


def say(message):
    """Tell the user; standard output belongs to the command that is run."""
    print(f"run.py: {message}", file=sys.stderr, flush=True)


def change_python():
    """Start again with a Python that Tidemark supports, or say in one line that there is none."""
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        path = shutil.which(f"python3.{minor}")
        # A version manager's shim may be there although its Python is not.
        if path and python_version(path) == [3, minor]:
            return become([path, str(HERE / "run.py"), *sys.argv[1:]])
    found = "{}.{}".format(*sys.version_info)
    say(f"Tidemark needs Python 3.11, 3.12 or 3.13; this is {found}, and the PATH has no other")
    return WRONG_USAGE


def python_version(path):
    """Return the major and minor version of a Python as a list, or None when it does not run."""
    code = "import json, sys; print(json.dumps(sys.version_info[:2]))"
    try:
        done = subprocess.run([str(path), "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30)
        return json.loads(done.stdout.decode()) if done.returncode == 0 else None
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None


def prepare_environment(lock_name):
    """Make or repair `.venv` unless it already holds what the lock file asks for."""
    if is_ready(lock_name):
        return
    VENV.mkdir(exist_ok=True)
    with LOCK.open("ab") as lock_file:
        if not try_lock(lock_file):
            say("another run.py is installing; waiting for it ...")
            wait_for_lock(lock_file)
        if not is_ready(lock_name):  # another run.py may have installed it meanwhile
            install(lock_name, lock_file)


def is_ready(lock_name):
    """Tell whether a finished installation of this lock file, in this place, for this Python is there."""
    state = read_state()
    return state.get("place") == place() and state["locks"].get(lock_name) == fingerprint(lock_name) and PYTHON.exists()


def read_state():
    """Return the state file: {} when absent, {"unfinished": True} when unreadable."""
    try:
        return json.loads(STATE.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError) as error:
        return {"unfinished": True} if isinstance(error, ValueError) else {}


def write_state(state):
    """Replace the state file at once, so that a reader never sees half of it."""
    fresh = STATE.with_suffix(".new")
    fresh.write_text(json.dumps(state), encoding="utf-8")
    fresh.replace(STATE)


def place():
    """Return what an environment cannot survive a change of: its scripts hold its path, its packages the version."""
    return {"folder": str(HERE), "python": list(sys.version_info[:2])}


def fingerprint(lock_name):
    """Return a digest of the files that say what is installed."""
    digest = hashlib.sha256()
    for path in (HERE / lock_name, HERE / "pyproject.toml"):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def try_lock(file):
    """Take the lock if it is free. The system gives it back however its holders end."""
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def wait_for_lock(file):
    """Take the lock, however long another holds it."""
    if os.name == "nt":  # there the system's own waiting gives up after ten tries, one a second
        while not try_lock(file):
            with contextlib.suppress(OSError):
                import msvcrt

                msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
                return
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)


def install(lock_name, lock_file):
    """Install a lock file and the project. While it works, the state says so: after a kill the next start rebuilds."""
    before, begun = read_state(), time.monotonic()
    is_kept = can_be_kept(before)
    doing = "Updating" if is_kept else "Making"
    say(f"{doing} .venv from {lock_name} (one or two minutes the first time; details in {LOG})")
    write_state({"unfinished": True})
    with LOG.open("wb") as log:
        installer = Installer(log, lock_file)
        try:
            if not is_kept:
                clear_environment()
                installer.run([sys.executable, "-m", "venv", "--without-pip", str(VENV)])
            installer.install_all(lock_name)
        except RunError:
            write_state(before if is_kept else {"unfinished": True})  # it failed, but was not killed half-way
            raise
    # The test lock holds all of the other one.
    locks = (RUN, TEST) if lock_name == TEST else (RUN,)
    write_state({"place": place(), "locks": {name: fingerprint(name) for name in locks}})
    say(f"Ready after {time.monotonic() - begun:.0f} s")


def can_be_kept(state):
    """Tell whether installing on top is enough. A state of {} is an environment that someone made by hand."""
    if state.get("unfinished") or not PYTHON.exists():
        return False
    return state["place"] == place() if state else python_version(PYTHON) == list(sys.version_info[:2])


def clear_environment():
    """Empty `.venv`, all but the files that keep the order between two run.py."""
    for path in VENV.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path not in (STATE, LOCK, LOG):
            path.unlink()


class Installer:
    """Runs the steps of an installation, their output in the log."""

    def __init__(self, log, lock_file):
        self._log = log
        # A step keeps the lock: should run.py alone be killed, the next one waits for the orphan before it rebuilds.
        self._kept_open = () if os.name == "nt" else (lock_file.fileno(),)

    def install_all(self, lock_name):
        """Install with uv where there is one; it does not read pip's settings, so pip is tried when it fails."""
        uv = shutil.which("uv")
        if uv is not None:
            try:
                return self._install_with([uv, "pip", "install", "--python", str(PYTHON)], lock_name)
            except RunError:
                say("uv failed; trying pip")
        self._add_pip()
        return self._install_with([str(PYTHON), "-m", "pip", "install"], lock_name)

    def run(self, command):
        """Run a step; raise with the tail of the log when it fails."""
        self._log.write(f"$ {' '.join(command)}\n".encode())
        self._log.flush()
        settings = dict(os.environ, UV_COMPILE_BYTECODE="1", PIP_NO_INPUT="1", PIP_DISABLE_PIP_VERSION_CHECK="1")
        streams = {"stdin": subprocess.DEVNULL, "stdout": self._log, "stderr": self._log}
        if subprocess.run(command, env=settings, cwd=HERE, pass_fds=self._kept_open, **streams).returncode != 0:
            tail = LOG.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_TAIL_LINES:]
            raise RunError("installing failed:\n  " + "\n  ".join(tail))

    def _install_with(self, install_command, lock_name):
        # The lock is complete and holds the build backend, so nothing is resolved and nothing else is fetched.
        self.run([*install_command, "--no-deps", "--require-hashes", "-r", lock_name])
        self.run([*install_command, "--no-deps", "--no-build-isolation", "-e", "."])
        # Or the first worker to start would compile the scorer, and its first job would wait half a minute.
        self.run([str(PYTHON), "-m", "transformer.precompile"])

    def _add_pip(self):
        if can_import(PYTHON, "pip"):
            return
        package = f"python3.{sys.version_info[1]}-venv"
        if not can_import(sys.executable, "ensurepip") and shutil.which("apt-get") and os.geteuid() == 0:
            say(f"Installing Debian's {package}, which holds the ensurepip that this Python lacks")
            os.environ["DEBIAN_FRONTEND"] = "noninteractive"
            with contextlib.suppress(RunError):  # the check below says what to do
                self.run(["sh", "-c", f"apt-get update; apt-get install -y --no-install-recommends {package}"])
        if not can_import(sys.executable, "ensurepip"):
            raise RunError(f"this Python lacks ensurepip. Install it, on Debian: sudo apt-get install -y {package}")
        self.run([str(PYTHON), "-m", "ensurepip", "--default-pip"])


def can_import(python, module):
    """Ask a fresh process: this one remembers what was missing when it started."""
    return subprocess.run([str(python), "-c", f"import {module}"], stderr=subprocess.DEVNULL).returncode == 0


def hand_over(command, rest):
    """Run the command's steps in the environment."""
    if command.runs_here:
        os.chdir(HERE)
    else:  # a folder `db` or `worker` where the caller stands must not be taken for ours, nor in child processes
        os.environ["PYTHONSAFEPATH"] = "1"
    return become([str(PYTHON), *command.steps[0], *rest]) if len(command.steps) == 1 else run_all(command.steps)


def become(command):
    """Turn this process into the command, so that signals and its exit code pass untouched."""
    if os.name == "nt":  # there exec returns to the caller's shell at once
        return subprocess.run(command).returncode
    return os.execv(command[0], command)


def run_all(steps):
    """Run every step, whatever the others said; return 1 if one failed."""
    failed = []
    for step in steps:
        name = "import-linter" if step[0] == "-c" else " ".join(step[1:])
        print(f"== {name}", flush=True)
        if subprocess.run([str(PYTHON), *step]).returncode != 0:
            failed.append(name)
    print(f"== failed: {', '.join(failed)}" if failed else "== all checks passed", flush=True)
    return FAILED if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        say("stopped")
        sys.exit(INTERRUPTED)
    except (RunError, OSError) as error:
        say(str(error))
        sys.exit(FAILED)
