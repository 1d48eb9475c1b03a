"""How long one record takes over `POST /v1/score` on a running system: idle, and while a whole book is scored."""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.report import write_report
from scheduler.client import Tidemark
from scheduler.client.local_api import find_local_api
from scheduler.demo.simulator import simulate_customers, simulated_portfolio
from tests.waiting import wait_for

START_SECONDS = 60


def measure(customers: int, requests: int) -> dict[str, Any]:
    """Start an installation, train for one epoch, and ask for one record at a time."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        os.environ |= {"TIDEMARK_HOME": str(home), "TIDEMARK_API_PORT": "0"}
        up = subprocess.Popen([sys.executable, "-m", "scheduler.cli.main", "up"], stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: find_local_api(home), START_SECONDS, "the API to answer")
            with Tidemark(timeout_seconds=120) as client:
                return _measure_with(client, Path(folder), customers, requests)
        finally:
            up.send_signal(signal.SIGTERM)
            up.wait(60)


def _measure_with(client: Tidemark, folder: Path, customers: int, requests: int) -> dict[str, Any]:
    (folder / "book.toml").write_text(simulated_portfolio())
    client.add_portfolio(folder / "book.toml")
    name = client.portfolios()[0]["name"]
    frame = simulate_customers(customers, 5).drop(columns=["true_probability", "true_outcome"])
    frame.to_parquet(folder / "book.parquet", index=False)
    client.upload(name, folder / "book.parquet")
    client.submit_training(name, epochs=1).wait()
    record = frame.iloc[[0]].drop(columns=[client.portfolios()[0]["target"]])
    for _ in range(20):  # every scoring process loads the champion at its first request
        client.score(record, portfolio=name)
    idle = [_seconds(client, record, name) for _ in range(requests)]
    thousand = [_seconds(client, frame.head(1000).drop(columns=[client.portfolios()[0]["target"]]), name)]
    job = client.submit_scoring(name)
    busy: list[float] = []
    while job.is_open:
        busy.append(_seconds(client, record, name))
        job = job.refresh()
    return {
        "requests_idle": len(idle),
        "idle_ms": _told(idle),
        "requests_while_scoring": len(busy),
        "while_scoring_ms": _told(busy),
        "thousand_records_ms": _told(thousand),
        "scoring_records_per_second": job.facts["records_per_second"],
    }


def _seconds(client: Tidemark, records: Any, name: str) -> float:
    started = time.perf_counter()
    client.score(records, portfolio=name)
    return time.perf_counter() - started


def _told(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(one * 1000 for one in seconds)
    at = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
    document = {name: round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1) for name, share in at.items()}
    return {"median": round(statistics.median(ordered), 1)} | document


def main() -> None:
    """Measure and save the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--requests", type=int, default=200)
    options = parser.parse_args()
    results = measure(options.customers, options.requests)
    print(write_report("online_latency", results), results)


if __name__ == "__main__":
    main()
