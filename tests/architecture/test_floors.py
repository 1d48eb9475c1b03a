"""Each package imports only what stands below it, and TensorFlow loads only where it is needed."""

import json
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

from tests.waiting import promised

ROOT = Path(__file__).resolve().parents[2]
_LIGHT = (
    "worker.contract.messages", "worker.contract.redis_address", "worker.runtime.settings", "worker.process.app",
    "worker.process.tasks", "worker.monitoring.night_job", "worker.drift", "worker.gate.judgement",
    "worker.runtime.context",
)  # fmt: skip
_SCHEDULER = tuple(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted((ROOT / "scheduler").rglob("*.py"))
    if path.name != "__init__.py"
)


def _modules_after(statement: str) -> set[str]:
    code = f"import sys, json; {statement}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_nobody_waits_for_tensorflow_who_does_not_need_it() -> None:
    # One process for all of them; the first module after which TensorFlow is there is named.
    code = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
    assert not {"tensorflow", "keras"} & set(sys.modules), name
"""
    command = [sys.executable, "-c", code, *_SCHEDULER, *_LIGHT]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr[-500:]


def test_monitoring_a_job_does_not_need_tensorflow() -> None:
    loaded = _modules_after("from worker.monitoring.next_job import monitor_next_job")
    assert not loaded & {"tensorflow", "keras"}


def test_help_loads_nothing_heavy() -> None:
    silenced = "out, sys.stdout = sys.stdout, sys.stderr; main(['--help']); sys.stdout = out"
    statement = f"from scheduler.cli.main import main; {silenced}"
    assert not _modules_after(statement) & {"tensorflow", "keras", "pandas", "sqlalchemy", "celery", "pyarrow"}


def test_the_version_is_that_of_the_package() -> None:
    command = [sys.executable, "-m", "scheduler.cli.main", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == f"tidemark {version('tidemark')}\n"


def test_help_answers_in_half_a_second() -> None:
    def once() -> float:
        started = time.perf_counter()
        command = [sys.executable, "-m", "scheduler.cli.main", "--help"]
        subprocess.run(command, capture_output=True, check=True, cwd=ROOT)
        return time.perf_counter() - started

    assert min(once() for _ in range(5)) < promised(0.5, busy=1.5)


def test_the_contracts_between_the_floors_hold() -> None:
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout
