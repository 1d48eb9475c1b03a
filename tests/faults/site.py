"""A book with a model, ready to be scored by processes that are about to be harmed; and what is known of each harm."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import Engine

from db.connections.engine import open_engine
from db.ledger.job_lifecycle import get_job
from db.migrations.upgrade import prepare_database
from db.schema.states import JobState
from scheduler.requests.job_submission import Request, submit_scoring
from tests.faults.matrix import Matrix
from tests.faults.oracle import Limits, Oracle, Outage, Strike
from tests.flow.installation import Installation
from tests.trained_book import BOOK, CUSTOMERS, TrainedBook
from tests.waiting import wait_for

INJECTION = Path(__file__).parent / "injection"
SHARDS = 60
LEASE_SECONDS, SWEEP_SECONDS = 12.0, 1.0
HELD_SHARDS = 3  # by a process at most: one read ahead, one being scored, one being written
PATIENCE_SECONDS = 400.0  # a deadline for what is not timed: a machine may be very busy
# What a shard may take on two busy cores, with the start of the process that a killed one is followed by.
SHARD_SECONDS = 60.0


class Site:
    """An installation whose database holds the book and the template's model."""

    def __init__(
        self, folder: Path, database_url: str, redis_url: str, template: TrainedBook, matrix: Matrix, **settings: str
    ) -> None:
        self.template = template
        self.matrix = matrix
        self.faults = folder / "faults"
        self.faults.mkdir()
        self.noted: list[Strike] = []
        self._outages: list[Outage] = []
        self._told = 0  # strikes that stand in the table already
        own = {
            "TIDEMARK_DATABASE_URL": database_url,
            "TIDEMARK_REDIS_URL": redis_url,
            "TIDEMARK_MODELS_URL": str(template.models),
            "TIDEMARK_LEASE_SECONDS": f"{LEASE_SECONDS:g}",
            "TIDEMARK_HEARTBEAT_SECONDS": "1",
            "TIDEMARK_SWEEP_SECONDS": f"{SWEEP_SECONDS:g}",
            "TIDEMARK_PAUSE_SECONDS": "2",
            "TIDEMARK_SHARD_ROWS": str(CUSTOMERS // SHARDS),
            "TIDEMARK_SCORING_WORKERS": "2",
            "TIDEMARK_TEST_FAULTS_FOLDER": str(self.faults),
            "PYTHONPATH": str(INJECTION),
        }
        self.installation = Installation(folder, own | settings)
        self.engine: Engine = open_engine(database_url)
        prepare_database(self.engine)
        template.fill(self.engine)

    def start(self, *, scoring_workers: int = 2) -> None:
        """Start what scoring needs: a scheduler and a scoring worker."""
        self.installation.start("scheduler")
        self.start_worker(scoring_workers)

    def start_worker(self, children: int = 2) -> None:
        """Start a scoring worker with its children."""
        self.installation.start("worker", "--queues", "scoring", "--concurrency", str(children))

    def inject(self, *faults: dict[str, Any]) -> None:
        """Arm the processes that are started from now on."""
        self.installation.settings["TIDEMARK_TEST_FAULTS"] = json.dumps(faults)

    def release(self, number: int = 0) -> None:
        """Let go on what a barrier holds."""
        (self.faults / f"release-{number}").touch()

    def struck(self, number: int = 0) -> list[int]:
        """Process ids that a fault has struck."""
        return [int(path.read_text() or 0) for path in sorted(self.faults.glob(f"fault-{number}-*"))]

    def kill_child(self, process: psutil.Process) -> None:
        """Kill a process, and take it down."""
        self.noted.append(Strike(time.time(), process.pid))
        process.kill()

    def kill_everything(self) -> int:
        """Kill the scheduler and the workers with their children; return how many children that were."""
        self._outages.append(Outage(time.time()))
        killed = 0
        for process in self.installation.running:
            children = psutil.Process(process.pid).children(recursive=True)
            for child in children:
                self.kill_child(child)
            killed += len(children)
            self.installation.kill_everything(process)
        return killed

    def note_fault(self, *, began_at: float | None = None) -> None:
        """Take down a fault of a server that is healed now."""
        now = time.time()
        self.noted.append(Strike(now if began_at is None else began_at, healed_at=now))

    def submit(self) -> int:
        """Ask for the book to be scored."""
        return submit_scoring(self.engine, BOOK, Request("test"))

    def wait_until(self, job_id: int, state: JobState, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait for a job's state; any other end fails the test at once, with the logs."""

        def look() -> bool:
            job = get_job(self.engine, job_id)
            assert job.is_open or job.state is state, f"{job}\n{self.installation.logs()}"
            return job.state is state

        try:
            wait_for(look, seconds, f"job {job_id} to be {state}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.installation.logs()}") from error

    def wait_for_scores(self, job_id: int, count: int, seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until this many records of a job have a score."""
        wait_for(lambda: get_job(self.engine, job_id).scored >= count, seconds, f"{count} scores of job {job_id}")

    def assert_whole(
        self, job_id: int, *, inputs: int = CUSTOMERS, rejected: int = 0, is_same_model: bool = True
    ) -> Oracle:
        """Hold a finished job against the oracle, and take down a line of the table."""
        oracle = Oracle(self.engine, job_id)
        digest = self.template.digest if rejected == 0 and is_same_model else None
        lost, duplicated = oracle.lost(), oracle.duplicated()
        limits = Limits(LEASE_SECONDS, SWEEP_SECONDS, SHARD_SECONDS)
        seconds = oracle.recoveries(strikes := self.strikes(), limits, self._outages) if lost == duplicated == 0 else []
        longest = max(seconds, default=None)
        injected, self._told = max(0, len(strikes) - self._told), len(strikes)
        self.matrix.note(injected=injected, lost=lost, duplicated=duplicated, recovery=longest)
        oracle.assert_whole(inputs=inputs, rejected=rejected, digest=digest)
        return oracle

    def repeated_claims(self, job_id: int) -> int:
        """How often a shard of a job was worked on again."""
        return Oracle(self.engine, job_id).repeated_claims({one.pid for one in self.strikes() if one.pid is not None})

    def count(self, statement: str, job_id: int = 0) -> int:
        """The number that a statement, about a job or not, gives."""
        return Oracle(self.engine, job_id).count(statement)

    def strikes(self) -> list[Strike]:
        """Every fault so far: those that processes did to themselves, and those that the test did."""
        own = [Strike(path.stat().st_mtime, int(path.read_text() or 0)) for path in self.faults.glob("fault-*")]
        return sorted([*own, *self.noted], key=lambda strike: strike.at)

    def close(self) -> None:
        """Wake what a fault stopped, end everything."""
        for path in self.faults.glob("fault-*"):
            _wake(int(path.read_text() or 0))
        for number in range(8):
            self.release(number)
        self.installation.close()
        self.engine.dispose()

    def add_model(self, version: str, *, seen: str) -> None:
        """Register a model version with the template's figures, and make it the champion."""
        self.template.add_model(self.engine, version, seen=seen)


def _wake(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        return
