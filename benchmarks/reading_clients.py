"""How long lists take for 50 clients while a job of a million records runs, and how much they slow it.

    python -m benchmarks.reading_clients [--records 1000000] [--clients 50]

Each client asks for one list after the other (jobs, schedules, models, decisions, drift) and
waits a second in between, as a dashboard or a script that polls does. The job runs without and with them, by turns.
The clients work on the same cores, so they use the standard library's connections: a richer client costs as much
processor time as the server does, and elsewhere it would be another machine's.
Where TIDEMARK_DATABASE_URL is set, on that database.
"""

import argparse
import http.client
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.report import write_report
from scheduler.client import Tidemark
from scheduler.client.local_api import find_local_api
from scheduler.demo.simulator import simulate_customers, simulated_portfolio
from tests.waiting import wait_for

START_SECONDS, PAUSE_SECONDS, RUNS = 60, 1.0, 6


def main() -> None:
    """Measure and save the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--clients", type=int, default=50)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        os.environ |= {"TIDEMARK_HOME": str(home), "TIDEMARK_API_PORT": "0"}
        os.environ |= {"TIDEMARK_API_REQUESTS_PER_MINUTE": "60000"}  # the clients share one key
        up = subprocess.Popen([sys.executable, "-m", "scheduler.cli.main", "up"], stderr=subprocess.DEVNULL)
        try:
            local = wait_for(lambda: find_local_api(home), START_SECONDS, "the API to answer")
            with Tidemark(timeout_seconds=600) as client:
                results = _measure(client, local, Path(folder), options.records, options.clients)
        finally:
            up.send_signal(signal.SIGTERM)
            up.wait(60)
    results |= {"database": os.environ.get("TIDEMARK_DATABASE_URL", "sqlite").split(":")[0]}
    print(write_report("reading_clients", results), results)


def _measure(client: Tidemark, local: Any, folder: Path, records: int, clients: int) -> dict[str, Any]:
    (folder / "book.toml").write_text(simulated_portfolio())
    client.add_portfolio(folder / "book.toml")
    name = client.portfolios()[0]["name"]
    for customers in (20_000, records):
        frame = simulate_customers(customers, 5).drop(columns=["true_probability", "true_outcome"])
        frame.to_parquet(folder / "book.parquet", index=False)
        client.upload(name, folder / "book.parquet")
        if customers < records:
            client.submit_training(name, epochs=1).wait()
    client.submit_scoring(name).wait()  # whatever is read or compiled once is read now
    rates: dict[str, list[float]] = {"alone": [], "with_clients": []}
    seconds: dict[str, list[float]] = {}
    for _ in range(RUNS):
        rates["alone"].append(_score(client, name))
        readers = Readers(local, name, clients, seconds)
        with readers:
            rates["with_clients"].append(_score(client, name))
    speed = {key: round(statistics.median(one)) for key, one in rates.items()}
    slowed = sorted(1 - busy / alone for alone, busy in zip(rates["alone"], rates["with_clients"], strict=True))
    every = [one for found in seconds.values() for one in found]
    return {
        "records": records,
        "clients": clients,
        "requests": len(every),
        "all_ms": _told(every),
        "lists_ms": {path: _told(one) for path, one in seconds.items()},
        "scoring_records_per_second": speed,
        "scoring_slowed_by": round(statistics.median(slowed), 3),
        "of_each_pair": [round(one, 3) for one in slowed],
    }


def _score(client: Tidemark, name: str) -> float:
    job = client.submit_scoring(name)
    job.wait()
    return float(job.refresh().facts["records_per_second"])


class Readers:
    """Clients that read lists until the block ends. Any answer but 200 ends the benchmark."""

    def __init__(self, local: Any, portfolio: str, clients: int, seconds: dict[str, list[float]]) -> None:
        self._local, self._clients, self._seconds = local, clients, seconds
        own = f"/v1/portfolios/{portfolio}"
        self._paths = ("/v1/jobs?limit=50", "/v1/schedules", f"{own}/models", f"{own}/decisions", f"{own}/drift")
        self._is_over, self._failed = threading.Event(), list[str]()
        self._threads = [threading.Thread(target=self._read, args=(number,)) for number in range(clients)]

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_error: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()
        if self._failed:
            raise SystemExit(f"a list was answered with {self._failed[0]}")

    def _read(self, number: int) -> None:
        headers = {"Authorization": f"Bearer {self._local.key}"}
        address = urlsplit(self._local.url)
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
        self._is_over.wait(PAUSE_SECONDS * number / self._clients)
        while not self._is_over.is_set():
            path = self._paths[number % len(self._paths)]
            number += 1
            began = time.perf_counter()
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            answer.read()
            self._seconds.setdefault(path, []).append(time.perf_counter() - began)
            if answer.status != http.client.OK:
                self._failed.append(f"{answer.status}: {path}")
                break
            self._is_over.wait(PAUSE_SECONDS)
        connection.close()


def _told(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(1000 * one for one in seconds)
    return {f"p{share}": round(ordered[int((len(ordered) - 1) * share / 100)], 1) for share in (50, 90, 99)}


if __name__ == "__main__":
    main()
