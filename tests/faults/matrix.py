"""The table that a run of the fault matrix ends with: fault, injected how often, lost, duplicated, recovery seconds."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

FAULTS = {
    1: "worker processes killed with SIGKILL",
    2: "all workers and the scheduler killed, started again",
    3: "a worker stopped for three leases after predicting, then continued",
    4: "Redis killed without persistence, and FLUSHALL",
    5: "Redis silent for 120 s; connections to it reset; a worker that hears nothing",
    6: "PostgreSQL restarted, connections cut during COMMIT; SQLite locked",
    7: "messages ten times, reordered, for unknown and finished shards",
    8: "workers' clocks an hour off; both daylight-saving nights",
    9: "disk full while writing scores and while saving a model; database read-only; Redis refusing writes",
    10: "bad values; a record that kills its process",
    11: "model bundle truncated, a bit flipped, deleted mid-job",
    12: "two schedulers, one cut off from the database; three missed nights",
    13: "cancel, pause, resume, retry, recovery racing completion",
    14: "a hundred submissions at once with one idempotency key",
    15: "a new model promoted in mid-job",
    16: "any order of claim, heartbeat, recover, write, cancel, pause, tick",
    17: "fine-tuning killed after its verdict, its bundle, its decision",
    18: "two triggers at once; outcomes that arrive while the gate judges",
    19: "event tables that change or disappear in mid-job, that are empty, or that one record fills",
}


@dataclass(frozen=True)
class Entry:
    """What one test injected and found. `recovery_seconds` is the longest of it, None where nothing had to recover."""

    test: str
    faults: tuple[int, ...]
    injected: int
    lost: int
    duplicated: int
    recovery_seconds: float | None
    what: str


@dataclass
class Matrix:
    """Takes down what the tests of a run injected; one object per run, told which test is running."""

    entries: list[Entry] = field(default_factory=list)
    test: str = ""
    faults: tuple[int, ...] = ()

    def note(
        self, *, injected: int, lost: int = 0, duplicated: int = 0, recovery: float | None = None, what: str = ""
    ) -> None:
        """Take down a line for the running test."""
        self.entries.append(Entry(self.test, self.faults, injected, lost, duplicated, recovery, what))

    def rows(self) -> list[tuple[int, str, int, int, int, float | None, int]]:
        """One row for each fault: number, name, injected, lost, duplicated, longest recovery, tests."""
        found: list[tuple[int, str, int, int, int, float | None, int]] = []
        for number, name in FAULTS.items():
            own = [one for one in self.entries if number in one.faults]
            if own:
                seconds = [one.recovery_seconds for one in own if one.recovery_seconds is not None]
                tests = len({one.test for one in own})
                totals = (_total(own, "injected"), _total(own, "lost"), _total(own, "duplicated"))
                found.append((number, name, *totals, max(seconds, default=None), tests))
        return found

    def lines(self) -> list[str]:
        """The table as Markdown."""
        head = ["| | fault | injected | lost | duplicated | recovery s | tests |", "|---|---|---|---|---|---|---|"]
        return head + [_line(row) for row in self.rows()]

    def document(self) -> dict[str, Any]:
        """The table for a results file, with every test's line."""
        names = ("fault", "name", "injected", "lost", "duplicated", "recovery_seconds", "tests")
        faults = [dict(zip(names, row, strict=True)) for row in self.rows()]
        return {"faults": faults, "tests": [asdict(one) for one in self.entries]}


def _total(entries: Iterable[Entry], name: str) -> int:
    return sum(getattr(one, name) for one in entries)


def _line(row: tuple[int, str, int, int, int, float | None, int]) -> str:
    number, name, injected, lost, duplicated, seconds, tests = row
    message = "" if seconds is None else f"{seconds:.1f}"
    return f"| {number} | {name} | {injected:,} | {lost} | {duplicated} | {message} | {tests} |"
