"""One worker and two, with a database and without; how a job's rate and a worker's memory grow with the book."""

import sys
from statistics import median
from typing import Any

from sqlalchemy import text

from benchmarks.cancelling import cancel_running_jobs, look_at_first_records
from benchmarks.running import run_together, running_system, tidemark
from benchmarks.scenarios.start_up import memory_of_children
from benchmarks.site import Site
from benchmarks.timing import ratio
from db.connections.engine import writing
from db.portfolios.catalog import save_portfolio

TIMES, QUICK_TIMES = 25, 5  # the larger book: 5 million records
LARGE_RUNS = 5  # of it, each of most of a minute
LONE_ROWS, LONE_TIMES = 10_000, 60  # some seconds of scoring a process


def measure(site: Site) -> dict[str, Any]:
    assert site.version
    results: dict[str, Any] = {}
    name, rate = site.definition.name, {}
    for workers in (1, 2):
        with running_system(site, workers=workers) as process:
            runs = [tidemark(site, "score", name)["seconds"] for _ in range(site.runs)]
            rate[workers] = site.records / median(runs)
            if workers == 2:
                memory = memory_of_children(process.pid)
                cancelled = {"smaller": cancel_running_jobs(site)}
                _multiply_book(site)
                results |= _larger_against_smaller(site)
                results["megabytes of the children (peak)"] = {
                    "before": memory,
                    "after": memory_of_children(process.pid),
                }
                cancelled["larger"] = cancel_running_jobs(site)
                results["a job in progress, and cancelled"] = cancelled
    results["records per second"] = {f"{workers} workers": round(one) for workers, one in rate.items()}
    results["two workers against one, PostgreSQL on the same 2 cores"] = round(rate[2] / rate[1], 2)
    results["two processes that score and do nothing else, against one"] = _lone_processes(site)
    return results


def _larger_against_smaller(site: Site) -> dict[str, Any]:
    """Records per second of the whole book, and of a portfolio that looks at its first records only, by turns."""
    large, small = list[float](), list[float]()
    for _ in range(1 if site.quick else LARGE_RUNS):
        look_at_first_records(site, site.records)
        runs = [tidemark(site, "score", site.definition.name)["seconds"] for _ in range(site.runs)]
        small.append(median(runs) / site.records)
        save_portfolio(site.engine, site.definition, who="benchmark")
        scored = tidemark(site, "score", site.definition.name)
        large.append(scored["seconds"] / scored["inputs"])
    rate = {"smaller": round(1 / median(small)), "larger": round(1 / median(large))}
    document = {"records of the larger book": scored["inputs"], "records per second, by turns": rate}
    return document | {"larger against smaller": ratio(large, small) | {"runs": len(large)}}


def _lone_processes(site: Site) -> dict[str, float]:
    """How the machine itself grows with the second core, no server beside it; above 1, at most 2."""
    path = site.home / "lone.parquet"
    site.frame[list(site.definition.input_columns)].iloc[:LONE_ROWS].to_parquet(path)
    command = [sys.executable, "-m", "benchmarks.peers.lone_scoring", str(path), str(site.home / "models")]
    command += [site.version, str(LONE_TIMES)]
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(site.runs):
        for processes, found in seconds.items():
            took = run_together([command] * processes, site.environment)
            if isinstance(took, str):
                raise SystemExit(f"scoring alone failed: {took}")
            found.append(took / processes)
    return ratio(seconds[2], seconds[1])


def _multiply_book(site: Site) -> None:
    key, source = site.definition.key, site.definition.source
    times = QUICK_TIMES if site.quick else TIMES
    columns = ", ".join(f'"{name}"' for name in site.definition.input_columns)
    with writing(site.engine) as connection:
        connection.execute(
            text(
                f'INSERT INTO "{source}" ("{key}", {columns}) SELECT "{key}" + times * {site.records}, {columns} '  # noqa: S608
                f'FROM "{source}", generate_series(1, {times - 1}) times'
            )
        )
    # As the book of 200,000 and every book that lies there since yesterday: else the first reader of each row notes it.
    with site.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f'VACUUM ANALYZE "{source}"'))
        connection.execute(text("CHECKPOINT"))  # what was loaded just now would be written while it is scored
