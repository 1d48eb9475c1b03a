"""Asks an API the same questions again and again in a process of its own, and tells how long each answer took.

A probe in the test's process would measure how busy the test is. Standard library alone: it must start at once.
"""

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

PAUSE_SECONDS = 0.01
LEAST = 40  # answers of each path, however short the block


@dataclass
class Answers:
    """What a probe saw: seconds of each answer, by path, and how many were no 200."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    wrong: int = 0

    def quantile(self, path: str, share: float) -> float:
        """Return the seconds within which this share of the answers came."""
        ordered = sorted(self.seconds[path])
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


@contextmanager
def probing(url: str, *paths: str, key: str = "") -> Iterator[Answers]:
    """Probe while the block runs; the answers are complete after it."""
    found = Answers()
    command = [sys.executable, __file__, url, key, *paths]
    probe = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert probe.stdin is not None
    assert probe.stdout is not None
    probe.stdout.readline()  # it has begun
    try:
        yield found
    finally:
        probe.stdin.close()
        document = json.loads(probe.stdout.read())
        probe.stdout.close()
        probe.wait()
        found.seconds, found.wrong = document["seconds"], document["wrong"]


def _probe(url: str, key: str, paths: list[str]) -> None:
    parts = urlsplit(url)
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    seconds: dict[str, list[float]] = {path: [] for path in paths}
    wrong = 0
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    while not ended.is_set() or len(seconds[paths[-1]]) < LEAST:
        for path in paths:
            began = time.perf_counter()
            connection.request("GET", path, headers={"Authorization": f"Bearer {key}"} if key else {})
            answer = connection.getresponse()
            answer.read()
            seconds[path].append(time.perf_counter() - began)
            wrong += answer.status != 200
        ended.wait(PAUSE_SECONDS)
    sys.stdout.write(json.dumps({"seconds": seconds, "wrong": wrong}))


if __name__ == "__main__":
    _probe(sys.argv[1], sys.argv[2], sys.argv[3:])
