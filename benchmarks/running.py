"""Runs Tidemark's own processes for the benchmarks, and processes of peers that begin together."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from benchmarks.site import Site

_COMMAND = (sys.executable, "-m", "scheduler.cli.main")


def tidemark(site: Site, *arguments: str, workers: int = 2) -> dict[str, Any]:
    """Run a command and return its JSON, with the wall seconds from start to end."""
    environment = site.environment | {"TIDEMARK_SCORING_WORKERS": str(workers)}
    begun = perf_counter()
    done = subprocess.run(  # noqa: S603 - our own command
        [*_COMMAND, *arguments, "--json"], env=environment, capture_output=True, text=True, check=False
    )
    if not done.stdout.strip():
        raise SystemExit(f"tidemark {' '.join(arguments)} failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1]) | {"wall_seconds": perf_counter() - begun}


@contextmanager
def running_system(site: Site, *, workers: int) -> Iterator[subprocess.Popen[bytes]]:
    """Keep scheduler and workers running, warm, for the time of a `with` block."""
    environment = site.environment | {"TIDEMARK_SCORING_WORKERS": str(workers)}
    process = subprocess.Popen(  # noqa: S603 - our own command
        [*_COMMAND, "up"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        tidemark(site, "score", site.definition.name)  # waits until the workers have scored a book
        yield process
    finally:
        process.terminate()
        process.wait(timeout=60)


def run_together(commands: list[list[str]], environment: dict[str, str]) -> float | str:
    """Start processes, wait until each says it is ready, let them go, and return the seconds until the last is done.

    Returns the last line of what went wrong instead where one of them fails.
    """
    processes = [
        subprocess.Popen(  # noqa: S603 - our own commands
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for command in commands
    ]
    for process in processes:
        assert process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            said = process.communicate()[1].strip().splitlines()
            for other in processes:
                other.kill()
                other.wait()
            return said[-1] if said else "it ended"
    begun = perf_counter()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.wait()
    seconds = perf_counter() - begun
    failed = [process.communicate()[1][-300:] for process in processes if process.returncode != 0]
    return failed[0] if failed else seconds
