"""A book with a model, ready to be scored by processes that are about to be harmed; and the oracle."""

import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from db.engine import open_engine, reading, writing
from db.job_control import resume_job
from db.jobs import Job, get_job
from db.loading import load_records
from db.portfolios import save_portfolio
from db.registry import Decision, ModelVersion, decide, get_model, register_model
from db.states import JobState
from db.upgrade import prepare_database
from db.verification import verify_job
from scheduler.data_files import open_data_file
from scheduler.portfolio_file import read_portfolio_file
from scheduler.submission import Request, submit_scoring
from tests.flow.installation import Installation
from tests.waiting import wait_for

INJECTION = Path(__file__).parent / "injection"
BOOK = "simulated_book"
CUSTOMERS = 3000


@dataclass(frozen=True)
class Template:
    """What is made once for all fault tests: a trained model and the digest of a run without a fault."""

    files: tuple[Path, Path]
    models: Path
    model: ModelVersion
    digest: str


def make_template(folder: Path, files: tuple[Path, Path]) -> Template:
    """Train a model on the embedded defaults and score the book once, undisturbed."""
    laptop = Installation(folder)
    portfolio, data = map(str, files)
    laptop.run("portfolio", "add", portfolio)
    laptop.run("load", BOOK, data)
    version = laptop.json("train", BOOK, "--epochs", "2")["model_version"]
    digest = laptop.json("score", BOOK)["digest"]
    engine = open_engine(f"sqlite:///{folder / 'home' / 'tidemark.db'}")
    model = get_model(engine, version)
    engine.dispose()
    return Template(files, folder / "home" / "models", model, digest)


@dataclass(frozen=True)
class FaultReport:
    """A line of the table that a run ends with; `recovery_seconds` are from the last fault to the end of the job."""

    test: str
    injected: int
    lost: int
    doubled: int
    recovery_seconds: float


REPORT: list[FaultReport] = []


class Site:
    """An installation whose database holds the book and the template's model."""

    def __init__(self, folder: Path, database_url: str, redis_url: str, template: Template, **settings: str) -> None:
        self.template = template
        self.faults = folder / "faults"
        self.faults.mkdir()
        self._noted: list[float] = []
        own = {
            "TIDEMARK_DATABASE_URL": database_url,
            "TIDEMARK_REDIS_URL": redis_url,
            "TIDEMARK_MODELS_URL": str(template.models),
            "TIDEMARK_LEASE_SECONDS": "5",
            "TIDEMARK_HEARTBEAT_SECONDS": "1",
            "TIDEMARK_SWEEP_SECONDS": "1",
            "TIDEMARK_SHARD_ROWS": "50",
            "TIDEMARK_SCORING_WORKERS": "2",
            "TIDEMARK_TEST_FAULTS_FOLDER": str(self.faults),
            "PYTHONPATH": str(INJECTION),
        }
        self.installation = Installation(folder, own | settings)
        self.engine: Engine = open_engine(database_url)
        self._fill()

    def inject(self, *faults: dict[str, Any]) -> None:
        """Arm the processes that are started from now on."""
        self.installation.settings["TIDEMARK_TEST_FAULTS"] = json.dumps(faults)

    def struck(self, number: int = 0) -> list[int]:
        """Process ids that a fault has struck."""
        return [int(path.read_text() or 0) for path in sorted(self.faults.glob(f"fault-{number}-*"))]

    def note_fault(self) -> None:
        """Count a fault that the test itself injects, now."""
        self._noted.append(time.time())

    def submit(self) -> int:
        """Ask for the book to be scored."""
        return submit_scoring(self.engine, BOOK, Request("test"))

    def wait_until(self, job_id: int, state: JobState, seconds: float) -> None:
        """Wait for a job's state; any other end fails the test at once, with the logs."""

        def look() -> bool:
            job = get_job(self.engine, job_id)
            assert job.is_open or job.state is state, f"{job}\n{self.installation.logs()}"
            return job.state is state

        try:
            wait_for(look, seconds, f"job {job_id} to be {state}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.installation.logs()}") from error

    def wait_for_scores(self, job_id: int, count: int, seconds: float = 90) -> None:
        """Wait until this many records of a job have a score."""
        wait_for(lambda: get_job(self.engine, job_id).scored >= count, seconds, f"{count} scores of job {job_id}")

    def assert_whole(self, job_id: int, *, rejected: int = 0) -> None:
        """The oracle: each record has one score or one reject, of its shard's final attempt; the digest is right."""
        job = get_job(self.engine, job_id)
        assert (job.state, job.inputs, job.scored, job.rejected) == (
            JobState.DONE,
            CUSTOMERS,
            CUSTOMERS - rejected,
            rejected,
        )
        assert verify_job(self.engine, job_id).problems == ()
        lost, doubled = self.count(_LOST, job_id), self.count(_TWICE, job_id)
        REPORT.append(self._report(job, lost, doubled))
        assert (lost, doubled) == (0, 0)
        assert self.count(_UNEVEN_SHARDS, job_id) == 0
        if rejected == 0:
            assert job.digest == self.template.digest

    def _report(self, job: Job, lost: int, doubled: int) -> FaultReport:
        struck = [path.stat().st_mtime for path in self.faults.glob("fault-*")]
        times = sorted([*struck, *self._noted])
        assert job.finished_at is not None
        recovery = max(0.0, job.finished_at.timestamp() - times[-1]) if times else 0.0
        test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition("::")[2].removesuffix(" (call)")
        return FaultReport(test, len(times), lost, doubled, recovery)

    def attempts(self, job_id: int) -> int:
        """How often a shard of the job was claimed."""
        return self.count("SELECT coalesce(sum(token), 0) FROM tidemark_shards WHERE job_id = :job", job_id)

    def resume(self, job_id: int) -> None:
        """Let a paused job go on."""
        resume_job(self.engine, job_id, who="test")

    def close(self) -> None:
        """Wake what a fault stopped, end everything."""
        for number in range(8):
            for pid in self.struck(number):
                _wake(pid)
        self.installation.close()
        self.engine.dispose()

    def count(self, statement: str, job_id: int) -> int:
        """The number that a statement about a job gives."""
        with reading(self.engine) as connection:
            return int(connection.execute(text(statement), {"job": job_id}).scalar_one())

    def _fill(self) -> None:
        prepare_database(self.engine)
        portfolio, data = self.template.files
        definition = read_portfolio_file(portfolio)
        save_portfolio(self.engine, definition, who="test")
        file = open_data_file(data, definition)
        frames = (batch.frame for batch in file.batches())
        load_records(self.engine, definition, frames, key_type=file.key_type, who="test")
        model = self.template.model
        with writing(self.engine) as connection:
            register_model(
                connection,
                version=model.version,
                job_id=None,
                definition=definition,
                metrics=model.metrics,
                reference=model.reference,
            )
            decision = Decision(
                BOOK, model.version, None, promoted=True, reason="test", figures={}, decided_by="test", job_id=None
            )
            decide(connection, decision, seen=None)


def _wake(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        return


_LOST = """
    SELECT count(*) FROM simulated_book b
    WHERE NOT EXISTS (SELECT 1 FROM tidemark_scores s WHERE s.job_id = :job AND s.record_key = b.customer_id)
      AND NOT EXISTS (SELECT 1 FROM tidemark_rejects r WHERE r.job_id = :job AND r.record_key = b.customer_id)
"""
_TWICE = """
    SELECT count(*) FROM (
        SELECT record_key FROM (
            SELECT record_key FROM tidemark_scores WHERE job_id = :job
            UNION ALL SELECT record_key FROM tidemark_rejects WHERE job_id = :job
        ) AS everything GROUP BY record_key HAVING count(*) > 1
    ) AS repeated
"""
_UNEVEN_SHARDS = """
    SELECT count(*) FROM tidemark_shards
    WHERE job_id = :job AND state NOT IN ('done', 'split') OR (job_id = :job AND read_rows <> scored + rejected)
"""
