#!/usr/bin/env python3
"""The front door: makes the environment `.venv` beside this file, once, and runs a command in it.

`test` without arguments also makes one for the newest other Python of this machine, `.venv-3.13` for example.

Standard library alone. It also runs on Pythons too old for Tidemark, which get one clear line instead of a traceback.
"""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

OLDEST, NEWEST = (3, 11), (3, 13)
WRONG_USAGE, FAILED, INTERRUPTED = 64, 1, 130
LOG_TAIL_LINES = 20

HERE = Path(__file__).resolve().parent


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
# The longest tests come first by their names; by size, as usual, one process would wait for the other at the end.
PYTEST = ("-m", "pytest", "-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")
UNIT_TESTS = "tests/unit"
FAULTS = (
    "-m",
    "pytest",
    "tests/faults",
    "tests/flow",
    "tests/properties",
    "-m",
    "faults",
    "--whole-matrix",
    "-n",
    "2",
    "--durations=20",
)
OLDER = (*PYTEST, "-m", "older")
# One after the other: they measure how quickly others are answered meanwhile.
HOSTILE = ("-m", "pytest", "tests/hostile", "-m", "slow or not slow", "-n", "0")
COMMANDS = {
    "demo": Command("show the whole story on a small book", RUN, (("-m", "scheduler.cli.main", "demo"),)),
    "tidemark": Command("run the tidemark command itself", RUN, (("-m", "scheduler.cli.main"),)),
    "test": Command("run all tests, or what the arguments tell pytest", TEST, (PYTEST,), runs_here=True),
    "faults": Command("run the whole fault matrix, with its slow parts", TEST, (FAULTS,), runs_here=True),
    "older": Command("run the tests of the database on the older PostgreSQL", TEST, (OLDER,), runs_here=True),
    "hostile": Command("run every attack and bad night, with what is slow", TEST, (HOSTILE,), runs_here=True),
    "soak": Command(
        "run people, jobs and faults at once on PostgreSQL; --minutes N", TEST, (("-m", "tests.soak"),), runs_here=True
    ),
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
    own = Environment(".venv", sys.executable, sys.version_info[:2])
    if name == "test" and not rest:
        return run_all_tests(own)
    own.prepare(command.lock)
    return hand_over(own, command, rest)


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
        path = find_python(minor)
        if path:
            return become([path, str(HERE / "run.py"), *sys.argv[1:]])
    found = "{}.{}".format(*sys.version_info)
    say(f"Tidemark needs Python 3.11, 3.12 or 3.13; this is {found}, and the PATH has no other")
    return WRONG_USAGE


def find_python(minor):
    """Return the first Python of this minor version on the PATH that runs, or None."""
    for folder in os.get_exec_path():
        path = shutil.which(f"python3.{minor}", path=folder)
        # A version manager's shim may be there although its Python is not.
        if path and python_version(path) == [3, minor]:
            return path
    return None


def python_version(path):
    """Return the major and minor version of a Python as a list, or None when it does not run."""
    code = "import json, sys; print(json.dumps(sys.version_info[:2]))"
    try:
        done = subprocess.run([str(path), "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30)
        return json.loads(done.stdout.decode()) if done.returncode == 0 else None
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None


class Environment:
    """A folder beside this file that holds the packages for one Python. What run.py did not make it leaves alone."""

    def __init__(self, name, base, version):
        self.folder = HERE / name
        self.base = base  # the interpreter that makes it
        self.title = "Python {}.{}".format(*version)
        self.python = self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        self.log = self.folder / "install.log"
        self._lock = self.folder / "run.lock"
        self._state = self.folder / "run-state.json"  # how far the installation got; see `_install`
        # What an environment cannot survive a change of: its scripts hold its path, its packages the version.
        self._place = {"folder": str(HERE), "python": list(version)}

    def prepare(self, lock_name):
        """Make or repair it unless it already holds what the lock file asks for."""
        if self._is_ready(lock_name):
            return
        self._refuse_what_is_not_ours()
        self.folder.mkdir(exist_ok=True)
        with self._lock.open("ab") as lock_file:
            if not try_lock(lock_file):
                say("another run.py is installing; waiting for it ...")
                wait_for_lock(lock_file)
            if not self._is_ready(lock_name):  # another run.py may have installed it meanwhile
                self._install(lock_name, lock_file)

    def _is_ready(self, lock_name):
        """Tell whether a finished installation of this lock file, in this place, for this Python is there."""
        state = self._read_state()
        is_current = state.get("place") == self._place and state["locks"].get(lock_name) == fingerprint(lock_name)
        return is_current and self.python.exists()

    def _refuse_what_is_not_ours(self):
        found = None
        if self.folder.is_symlink():
            found = f"a symbolic link to {self.folder.resolve()}"
        elif self.folder.exists() and not self.folder.is_dir():
            found = "a file"
        elif self.folder.is_dir() and not self._read_state() and set(self.folder.iterdir()) - set(self._own_files()):
            found = "a folder that run.py did not make"
        if found:
            advice = f"It was left as it is. Rename it (mv {self.folder.name} {self.folder.name}-mine) or remove it"
            expected = "expected nothing there, or an environment that run.py made"
            raise RunError(f"{self.folder} is {found}; {expected}. {advice}, then run this again")

    def _own_files(self):
        """Return the files that keep the order between two run.py."""
        return self._state, self._state.with_suffix(".new"), self._lock, self.log

    def _read_state(self):
        """Return the state file: {} when absent, {"unfinished": True} when unreadable."""
        try:
            return json.loads(self._state.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError, ValueError) as error:
            return {"unfinished": True} if isinstance(error, ValueError) else {}

    def _write_state(self, state):
        """Replace the state file at once, so that a reader never sees half of it."""
        fresh = self._state.with_suffix(".new")
        fresh.write_text(json.dumps(state), encoding="utf-8")
        fresh.replace(self._state)

    def _install(self, lock_name, lock_file):
        """Install a lock file and the project. Meanwhile the state says so: after a kill the next start rebuilds."""
        before, begun = self._read_state(), time.monotonic()
        # One that is whole, in its place and for its Python is installed on top of.
        is_kept = before.get("place") == self._place and self.python.exists()
        doing = f"{'Updating' if is_kept else 'Making'} {self.folder.name} for {self.title}"
        say(f"{doing} from {lock_name} (one or two minutes the first time; details in {self.log})")
        self._write_state({"unfinished": True})
        with self.log.open("wb") as log:
            installer = Installer(self, log, lock_file)
            try:
                if not is_kept:
                    self._clear()
                    installer.run([self.base, "-m", "venv", "--without-pip", str(self.folder)])
                installer.install_all(lock_name)
            except RunError:
                self._write_state(before if is_kept else {"unfinished": True})  # it failed, but was not killed half-way
                raise
        # The test lock holds all of the other one.
        locks = (RUN, TEST) if lock_name == TEST else (RUN,)
        self._write_state({"place": self._place, "locks": {name: fingerprint(name) for name in locks}})
        say(f"Ready after {time.monotonic() - begun:.0f} s")

    def _clear(self):
        """Empty the folder, all but what keeps the order between two run.py."""
        for path in self.folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path not in self._own_files():
                path.unlink()


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


class Installer:
    """Runs the steps of an installation, their output in the log."""

    def __init__(self, environment, log, lock_file):
        self._environment, self._base, self._python = environment, environment.base, str(environment.python)
        self._log = log
        # A step keeps the lock: should run.py alone be killed, the next one waits for the orphan before it rebuilds.
        self._kept_open = () if os.name == "nt" else (lock_file.fileno(),)

    def install_all(self, lock_name):
        """Install with uv where there is one; it does not read pip's settings, so pip is tried when it fails."""
        uv = shutil.which("uv")
        if uv is not None:
            try:
                return self._install_with([uv, "pip", "install", "--python", self._python], lock_name)
            except RunError:
                say("uv failed; trying pip")
        self._add_pip()
        return self._install_with([self._python, "-m", "pip", "install"], lock_name)

    def run(self, command):
        """Run a step; raise with the tail of the log when it fails."""
        self._log.write(f"$ {' '.join(command)}\n".encode())
        self._log.flush()
        settings = dict(os.environ, UV_COMPILE_BYTECODE="1", PIP_NO_INPUT="1", PIP_DISABLE_PIP_VERSION_CHECK="1")
        streams = {"stdin": subprocess.DEVNULL, "stdout": self._log, "stderr": self._log}
        if subprocess.run(command, env=settings, cwd=HERE, pass_fds=self._kept_open, **streams).returncode != 0:
            tail = self._environment.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_TAIL_LINES:]
            raise RunError("installing failed:\n  " + "\n  ".join(tail))

    def _install_with(self, install_command, lock_name):
        # The lock is complete and holds the build backend, so nothing is resolved and nothing else is fetched.
        self.run([*install_command, "--no-deps", "--require-hashes", "-r", lock_name])
        self.run([*install_command, "--no-deps", "--no-build-isolation", "-e", "."])
        # Or the first worker to start would compile the scorer, and its first job would wait half a minute.
        self.run([self._python, "-m", "transformer.precompile"])

    def _add_pip(self):
        if can_import(self._python, "pip"):
            return
        package = f"{self._environment.title.replace(' ', '').lower()}-venv"
        if not can_import(self._base, "ensurepip") and shutil.which("apt-get") and os.geteuid() == 0:
            say(f"Installing Debian's {package}, which holds the ensurepip that this Python lacks")
            os.environ["DEBIAN_FRONTEND"] = "noninteractive"
            with contextlib.suppress(RunError):  # the check below says what to do
                self.run(["sh", "-c", f"apt-get update; apt-get install -y --no-install-recommends {package}"])
        if not can_import(self._base, "ensurepip"):
            raise RunError(f"this Python lacks ensurepip. Install it, on Debian: sudo apt-get install -y {package}")
        self.run([self._python, "-m", "ensurepip", "--default-pip"])


def can_import(python, module):
    """Ask a fresh process: this one remembers what was missing when it started."""
    return subprocess.run([str(python), "-c", f"import {module}"], stderr=subprocess.DEVNULL).returncode == 0


def run_all_tests(own):
    """Run all tests on the oldest Python that is here and, before them, the unit tests on the newest."""
    os.chdir(HERE)
    wanted = oldest_and_newest(own)
    if len(wanted) == 1:
        own.prepare(TEST)
        return become([str(own.python), *PYTEST])
    ready = [one for one in wanted if is_prepared(one)]
    if not ready:
        own.prepare(TEST)
        ready = [own]
    steps = [(f"{one.title}, {UNIT_TESTS}", (str(one.python), *PYTEST, UNIT_TESTS)) for one in ready[1:]]
    failed = run_all([*steps, (f"{ready[0].title}, all tests", (str(ready[0].python), *PYTEST))])
    if len(ready) < len(wanted) and os.environ.get("CI") == "true":
        failed.append("a Python was left out, and with CI=true that counts")
    if failed:
        say(f"failed: {'; '.join(failed)}")
    return FAILED if failed else 0


def oldest_and_newest(own):
    """Return the environments of the oldest and the newest Python that is here; one, where there is no other."""
    found = []
    for minor in range(OLDEST[1], NEWEST[1] + 1):
        if minor == sys.version_info[1]:
            found.append(own)
        else:
            path = find_python(minor)
            # Debian's own Python may lack what makes an environment; that is no reason to fail.
            if path and (shutil.which("uv") or can_import(path, "ensurepip")):
                found.append(Environment(f".venv-3.{minor}", path, (3, minor)))
    return found if len(found) == 1 else [found[0], found[-1]]


def is_prepared(environment):
    """Prepare it for the tests, or say in one line that its Python is left out, as without a network."""
    try:
        environment.prepare(TEST)
    except (RunError, OSError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        say(f"{environment.title} is left out, {environment.folder.name} could not be made: {reason}")
        return False
    return True


def hand_over(environment, command, rest):
    """Run the command's steps in the environment."""
    if command.runs_here:
        os.chdir(HERE)
    else:  # a folder `db` or `worker` where the caller stands must not be taken for ours, nor in child processes
        os.environ["PYTHONSAFEPATH"] = "1"
    python = str(environment.python)
    if len(command.steps) == 1:
        return become([python, *command.steps[0], *rest])
    failed = run_all(
        [("import-linter" if step[0] == "-c" else " ".join(step[1:]), (python, *step)) for step in command.steps]
    )
    print(f"== failed: {', '.join(failed)}" if failed else "== all checks passed", flush=True)
    return FAILED if failed else 0


def become(command):
    """Turn this process into the command, so that signals and its exit code pass untouched."""
    if os.name == "nt":  # there exec returns to the caller's shell at once
        return subprocess.run(command).returncode
    return os.execv(command[0], command)


def run_all(steps):
    """Run every named command, whatever the others said, and return the names of those that failed."""
    failed = []
    for name, command in steps:
        print(f"== {name}", flush=True)
        if run_through(command) != 0:
            failed.append(name)
    return failed


def run_through(command):
    """Run a command to its end, so that it stops its servers after a signal too; a signal ends run.py afterwards."""
    signals, started = [], []

    def pass_on(number, _frame):
        signals.append(number)
        if number == signal.SIGTERM:  # a terminal's Ctrl-C reaches the command by itself
            for process in started:
                process.terminate()

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    with subprocess.Popen(command) as process:
        started.append(process)
        code = process.wait()
    for number, handler in before.items():
        signal.signal(number, handler)
    if signals:
        raise KeyboardInterrupt
    return code


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        say("stopped")
        sys.exit(INTERRUPTED)
    except (RunError, OSError) as error:
        say(str(error))
        sys.exit(FAILED)
