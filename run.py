#!/usr/bin/env python3
"""The front door: creates the environment `.venv` next to this file, once, and runs a command in it.

`test` without arguments also makes one for the newest other Python of this machine, `.venv-3.13` for example.

Standard library alone. It also runs on Pythons too old for Tidemark, which get one clear line instead of a traceback.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # Python does it by itself unless PYTHONSAFEPATH is set

from run_environments import RUN, TEST, Environment, RunError, can_import, say  # noqa: E402

OLDEST, NEWEST = (3, 11), (3, 13)
WRONG_USAGE, FAILED, INTERRUPTED = 64, 1, 130


class Command(NamedTuple):
    """What a word on the command line does. Several steps are all run, and all must succeed."""

    help: str
    lock: str
    steps: tuple
    runs_here: bool = False  # in the repository, rather than where the caller stands


# Console scripts are avoided: their first line cannot hold a path with spaces.
IMPORT_LINTER = "from importlinter.cli import lint_imports_command; lint_imports_command()"
RUFF = (("-m", "ruff", "check", "."), ("-m", "ruff", "format", "--check", "."))
CHECKS = (*RUFF, ("-m", "basedpyright"), ("-c", IMPORT_LINTER))
# Two at a time: most tests wait for servers and processes. `run.py test -n 0` runs one after the other.
# The longest tests come first by their names; by size, as usual, one process would wait for the other at the end.
PYTEST = ("-m", "pytest", "-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")
UNIT_TESTS = "tests/unit"
# What trains takes minutes and finds on one Python what it finds on another: the newest compiles and scores.
TRAINING = ("branches", "evaluation", "events", "fitting", "reasons", "training")
ON_NEWEST = (UNIT_TESTS, *(f"--ignore={UNIT_TESTS}/transformer/{room}" for room in TRAINING))
QUICK_TESTS = (*PYTEST, "--quick", UNIT_TESTS, "tests/integration")
TEST_HELP = """usage: python3 run.py test [--quick | PYTEST ARGUMENTS]

  (nothing)         all tests except those with their own command (faults, older, hostile), on the oldest Python on
                    the PATH; before them, the unit tests on the newest (without what trains)
  --quick           unit tests, and integration tests on SQLite, without those that train or compile for seconds. The
                    last lines say how many tests were left out and what runs them. More arguments go to pytest
  PYTEST ARGUMENTS  the tests that they select, on this Python: `python3 run.py test tests/unit -k lease`; -n 0 runs
                    one test after the other. Options of pytest: `python3 run.py test tests --help`"""
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
    "test": Command(
        "run all tests; --quick in a minute or so; or with arguments for pytest", TEST, (PYTEST,), runs_here=True
    ),
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
    if name == "test" and (not rest or rest[0] in TEST_OPTIONS):
        return TEST_OPTIONS[rest[0] if rest else ""](own, rest[1:])
    own.prepare(command.lock)
    return hand_over(own, command, rest)


def usage():
    """Return the list of commands."""
    lines = "\n".join(f"  {name:<10}{command.help}" for name, command in COMMANDS.items())
    first = "The first start installs everything into .venv next to run.py."
    return f"usage: python3 run.py COMMAND [ARGUMENTS]\n\n{lines}\n\n{first}"


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


def run_all_tests(own, _rest):
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
    steps = [(f"{one.title}, {UNIT_TESTS}", (str(one.python), *PYTEST, *ON_NEWEST)) for one in ready[1:]]
    failed = run_all([*steps, (f"{ready[0].title}, all tests", (str(ready[0].python), *PYTEST))])
    if len(ready) < len(wanted) and os.environ.get("CI") == "true":
        failed.append("a Python was left out, and with CI=true that counts")
    if failed:
        say(f"failed: {'; '.join(failed)}")
    return FAILED if failed else 0


def run_quick_tests(own, rest):
    """Run what is quick on this Python."""
    own.prepare(TEST)
    return hand_over(own, COMMANDS["test"]._replace(steps=(QUICK_TESTS,)), rest)


def tell_test_help(_own, _rest):
    """Print what `test` knows."""
    print(TEST_HELP)
    return 0


TEST_OPTIONS = {"": run_all_tests, "--quick": run_quick_tests, "-h": tell_test_help, "--help": tell_test_help}


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
