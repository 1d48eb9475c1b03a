"""How soon a worker is ready, what it holds in memory, and how long a small job takes on a running system."""

import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Any

from benchmarks.cancelling import SMALL, look_at_first_records
from benchmarks.running import running_system, tidemark
from benchmarks.site import Site
from db.portfolios.catalog import save_portfolio


def measure(site: Site) -> dict[str, Any]:
    assert site.version
    ready = [_seconds_until_ready(site) for _ in range(1 if site.quick else 3)]
    with running_system(site, workers=2) as process:
        memory = memory_of_children(process.pid)
        look_at_first_records(site)
        small = [tidemark(site, "score", site.definition.name) for _ in range(site.runs)]
    save_portfolio(site.engine, site.definition, who="benchmark")
    return {
        "seconds until a worker is ready, champion loaded": {"median": round(median(ready), 1), "runs": len(ready)},
        "megabytes of a scoring child (peak)": memory,
        f"seconds of a job of {SMALL} records, first claim to close": round(median(one["seconds"] for one in small), 2),
        "the same with the command's own start": round(median(one["wall_seconds"] for one in small), 2),
    }


def _seconds_until_ready(site: Site) -> float:
    command = [sys.executable, "-m", "worker", "--queues", "scoring", "--concurrency", "1"]
    environment = site.environment | {"TIDEMARK_REDIS_URL": "redis://127.0.0.1:1/0"}  # Redis plays no part in this
    begun = monotonic()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)  # noqa: S603
    assert process.stderr is not None
    for line in process.stderr:
        if "Worker process ready" in line:
            break
    seconds = monotonic() - begun
    process.kill()
    process.communicate()
    return seconds


def memory_of_children(root: int) -> list[int]:
    """Peak resident megabytes of every process below `root` that holds TensorFlow."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _descends_from(int(entry.name), root):
            status = (entry / "status").read_text()
            maps = (entry / "maps").read_text() if os.access(entry / "maps", os.R_OK) else ""
            if "tensorflow" in maps:
                peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
                found.append(int(peak.split()[1]) // 1024)
    return sorted(found)


def _descends_from(process: int, root: int) -> bool:
    while process > 1:
        if process == root:
            return True
        try:
            process = int((Path("/proc") / str(process) / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return False
    return False
