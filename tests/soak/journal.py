"""What the soak did, what it found, and when a server was harmed; shared by all its threads."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

CALM_SECONDS = 30.0  # after a fault has healed: clients reconnect, processes that were killed start again


@dataclass(frozen=True)
class Finding:
    """Something that must not be. `at` is in seconds from the beginning."""

    at: float
    rule: str
    detail: str


class Journal:
    """Counts of what was done, findings, and the times in which a server or a process was harmed."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._done: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._findings: list[Finding] = []
        self._harm: list[tuple[str, float, float]] = []
        self._harmed_now: Counter[str] = Counter()

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    @property
    def findings(self) -> list[Finding]:
        """Everything that must not be, in the order in which it was seen."""
        with self._lock:
            return list(self._findings)

    def note(self, action: str, *, refused: str | None = None) -> None:
        """Count an action; `refused` is a refusal that is right, such as cancelling a job that has ended."""
        with self._lock:
            self._done[action] += 1
            if refused is not None:
                self._refused[f"{action}: {refused}"] += 1

    def find(self, rule: str, detail: str) -> None:
        """Take down something that must not be, once for each detail."""
        with self._lock:
            if not any((one.rule, one.detail) == (rule, detail) for one in self._findings):
                self._findings.append(Finding(round(self.seconds, 1), rule, detail))

    @contextmanager
    def harm(self, fault: str) -> Iterator[None]:
        """A fault, from its beginning until it is healed."""
        began = self.seconds
        with self._lock:
            self._harmed_now[fault] += 1
        try:
            yield
        finally:
            with self._lock:
                self._harmed_now[fault] -= 1
                self._harm.append((fault, began, self.seconds))
            self.note(f"fault: {fault}")

    def was_calm(self, since: float, *, but: tuple[str, ...] = ()) -> bool:
        """Whether nothing was harmed from `CALM_SECONDS` before `since` until now, but for these faults."""
        with self._lock:
            if any(count for fault, count in self._harmed_now.items() if fault not in but):
                return False
            return all(ended < since - CALM_SECONDS for fault, _, ended in self._harm if fault not in but)

    def report(self) -> dict[str, Any]:
        """Everything as one JSON object."""
        with self._lock:
            return {
                "seconds": round(self.seconds),
                "actions": dict(sorted(self._done.items())),
                "refusals": dict(self._refused.most_common()),
                "findings": [asdict(one) for one in self._findings],
            }
