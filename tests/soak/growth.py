"""Memory, open files and connections over time: none of them may grow for ever."""

import statistics
import threading
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg

from tests.soak.journal import Journal
from tests.soak.site import Site

_PAUSE_SECONDS = 10.0
_FEWEST = 12  # samples of a quarter; a shorter run shows its figures and judges none
# More than noise: what the last quarter may have beyond the second one.
_ROOM = {"memory_mb": (1.2, 60.0), "files": (1.2, 20.0), "connections": (1.2, 10.0), "scratch": (1.0, 5.0)}
_CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"


@dataclass(frozen=True)
class Sample:
    """A figure of one part at one time."""

    part: str
    figure: str
    value: float


class Growth(threading.Thread):
    """Takes samples until told to stop."""

    def __init__(self, site: Site, journal: Journal) -> None:
        super().__init__(name="growth", daemon=True)
        self._site = site
        self._journal = journal
        self.ending = threading.Event()
        self.samples: dict[tuple[str, str], list[float]] = {}

    def run(self) -> None:
        """Sample."""
        while not self.ending.wait(_PAUSE_SECONDS):
            for one in [*self._of_processes(), *self._of_servers()]:
                self.samples.setdefault((one.part, one.figure), []).append(one.value)

    def judge(self) -> dict[str, dict[str, float]]:
        """Compare the last quarter with the second one; return the medians of both."""
        document: dict[str, dict[str, float]] = {}
        for (part, figure), values in sorted(self.samples.items()):
            quarter = len(values) // 4
            if not quarter:
                continue
            before = statistics.median(values[quarter : 2 * quarter])
            after = statistics.median(values[-quarter:])
            document[f"{part} {figure}"] = {"second quarter": round(before, 1), "last quarter": round(after, 1)}
            times, room = _ROOM[figure]
            if quarter >= _FEWEST and after > before * times + room:
                detail = f"{part}, {figure}: {before:.0f} in the second quarter, {after:.0f} in the last"
                self._journal.find("nothing grows for ever", detail)
        return document

    def _of_processes(self) -> list[Sample]:
        found: list[Sample] = []
        for part in self._site.processes:
            memory, files = 0.0, 0.0
            for process in self._site.family(part):
                try:
                    memory += process.memory_full_info().pss / 2**20
                    files += process.num_fds()
                except (psutil.NoSuchProcess, psutil.AccessDenied):
                    continue
            if memory:
                found += [Sample(part, "memory_mb", memory), Sample(part, "files", files)]
        return found

    def _of_servers(self) -> list[Sample]:
        scratch = len([*Path("/tmp").glob("tidemark-*")])
        found = [Sample("machine", "scratch", scratch)]
        try:
            with self._site.connect() as connection:
                found.append(Sample("postgres", "connections", connection.execute(_CONNECTIONS).fetchall()[0][0]))
        except psycopg.Error:
            self._journal.note("count connections", refused="the database was away")
        return found
