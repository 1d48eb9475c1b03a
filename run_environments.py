"""The environments of `run.py`: folders next to it, each with the locked packages for one Python, created and repaired.

Standard library alone, and no word that a Python too old for Tidemark cannot read.
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

LOG_TAIL_LINES = 20
RUN, TEST = "requirements.lock", "requirements-test.lock"

HERE = Path(__file__).resolve().parent


class RunError(Exception):
    """Something the user must know; its text is the whole message."""


def say(message):
    """Print a line for the user; standard output belongs to the command that is run."""
    print(f"run.py: {message}", file=sys.stderr, flush=True)


class Environment:
    """A folder next to this file with the packages for one Python. A folder that run.py did not make is left alone."""

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
        """Return whether a finished installation of this lock file, in this place, for this Python is there."""
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
