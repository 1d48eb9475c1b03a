"""What reading ahead and writing behind are worth: jobs with `TIDEMARK_OVERLAP` on and off, warm workers, by turns.

With two workers the server works on the same two cores. With the server on the first core alone and one worker on
the second, it stands for a database on another machine.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil

from benchmarks.running import running_system, tidemark
from benchmarks.site import Site
from benchmarks.timing import rates, ratio

ROUNDS, RUNS_A_ROUND = 3, 3


def measure(site: Site) -> dict[str, Any]:
    assert site.version, "the champion is there before the workers start"
    together = _by_turns(site, workers=2)
    if not hasattr(os, "sched_setaffinity"):
        return {"server on the workers' cores": together}
    _pin_server({0})
    try:
        with _pinned(1):
            apart = _by_turns(site, workers=1)
    finally:
        _pin_server(os.sched_getaffinity(0))
    return {"server on the workers' cores": together, "server on a core of its own": apart}


def _by_turns(site: Site, *, workers: int) -> dict[str, Any]:
    seconds: dict[str, list[float]] = {"overlapped": [], "in turn": []}
    for _ in range(1 if site.quick else ROUNDS):
        for name, setting in (("overlapped", "true"), ("in turn", "false")):
            os.environ["TIDEMARK_OVERLAP"] = setting
            with running_system(site, workers=workers):
                for _ in range(RUNS_A_ROUND):
                    seconds[name].append(tidemark(site, "score", site.definition.name)["seconds"])
    del os.environ["TIDEMARK_OVERLAP"]
    document = {"workers": workers, "rates": rates(seconds, site.records)}
    return document | {"overlapped against in turn": ratio(seconds["overlapped"], seconds["in turn"])}


@contextmanager
def _pinned(core: int) -> Iterator[None]:
    """Keep this process, and those that it starts, on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _pin_server(cores: set[int]) -> None:
    """Keep the benchmark's own server, and the connections that it forks later, on some cores."""
    for process in psutil.Process().children(recursive=True):
        if "postgres" in process.name():
            process.cpu_affinity(sorted(cores))
