"""Writes a benchmark's results beside it: what was measured, when, on which machine, at which commit."""

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
_LIBRARIES = ("tensorflow-cpu", "keras", "celery", "sqlalchemy", "scikit-learn", "pandas")


def write_report(name: str, results: Any) -> Path:
    """Write `results/NAME.json` and return its path."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"benchmark": name, **_circumstances(), "results": results}, indent=1) + "\n")
    return path


def _circumstances() -> dict[str, Any]:
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "--short=12", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--", "db", "scheduler", "transformer", "worker")),
        "machine": {"cpu": _cpu_name(), "cores": os.cpu_count(), "system": platform.system()},
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in _LIBRARIES},
    }


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603, S607


def _cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())


def _version(name: str) -> str:
    try:
        return version(name)
    except ModuleNotFoundError:
        return "absent"
