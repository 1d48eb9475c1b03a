"""A job as the client sees it, and waiting for its end."""

import threading
import time
from dataclasses import dataclass
from typing import Any

from scheduler.client.transport import Transport

LOOK_SECONDS = 0.5
_OPEN = frozenset({"queued", "running", "paused"})


@dataclass(frozen=True)
class Job:
    """A job as of the last request; `facts` contains the API's whole answer."""

    _transport: Transport
    facts: dict[str, Any]

    @property
    def id(self) -> int:
        """The job's id."""
        return int(self.facts["job"])

    @property
    def state(self) -> str:
        """One of queued, running, paused, done, failed and cancelled."""
        return str(self.facts["state"])

    @property
    def is_open(self) -> bool:
        """Whether the job can still be processed."""
        return self.state in _OPEN

    @property
    def model_version(self) -> str | None:
        """The version that scores, or the result of training."""
        return self.facts["model_version"]

    @property
    def inputs(self) -> int:
        """The number of records of the book."""
        return int(self.facts["inputs"])

    @property
    def scored(self) -> int:
        """The number of scores."""
        return int(self.facts["scored"])

    @property
    def rejected(self) -> int:
        """The number of rejects."""
        return int(self.facts["rejected"])

    @property
    def detail(self) -> str | None:
        """Why it failed, as a sentence."""
        return self.facts["detail"]

    def __repr__(self) -> str:
        return f"Job({self.id}, {self.facts['kind']} of {self.facts['portfolio']}, {self.state})"

    def refresh(self) -> "Job":
        """Return the current state of the job."""
        return Job(self._transport, self._transport.send("GET", f"/v1/jobs/{self.id}").json())

    def wait(self, *, progress: bool = False, timeout_seconds: float | None = None) -> "Job":
        """Return the job once it has ended, even if it failed. Raises `TimeoutError`; the job continues."""
        return wait_for_end(self, progress=progress, timeout_seconds=timeout_seconds)

    def cancel(self, why: str = "") -> "Job":
        """Cancel the job; workers stop at their next batch and write nothing more."""
        return self._change("cancel", why)

    def pause(self, why: str = "") -> "Job":
        """Pause the job: start no more of its shards."""
        return self._change("pause", why)

    def resume(self, why: str = "") -> "Job":
        """Continue the job where it stopped."""
        return self._change("resume", why)

    def retry(self, why: str = "") -> "Job":
        """Run the job's failed shards again."""
        return self._change("retry", why)

    def _change(self, action: str, why: str) -> "Job":
        answer = self._transport.send("POST", f"/v1/jobs/{self.id}/{action}", json={"why": why})
        return Job(self._transport, answer.json())


def wait_for_end(job: Job, *, progress: bool, timeout_seconds: float | None) -> Job:
    """Poll the job until it has ended, with an optional bar on standard error."""
    from rich.console import Console  # noqa: PLC0415 - only who waits needs it
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    ends = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    pause = threading.Event()
    with Progress(*columns, console=Console(stderr=True), disable=not progress) as bar:
        task = bar.add_task(str(job), total=None)
        while job.is_open:
            if ends is not None and time.monotonic() >= ends:
                message = f"job {job.id} is still {job.state} after {timeout_seconds:g} s"
                raise TimeoutError(f"{message}; it was not cancelled. GET /readyz says whether a worker is available")
            pause.wait(LOOK_SECONDS)
            job = job.refresh()
            share = (job.facts.get("progress") or {}).get("done")  # of a training
            if share is None:
                total, done = job.inputs or None, job.scored + job.rejected
            else:
                total, done = 1.0, 1.0 if job.state == "done" else share
            bar.update(task, description=str(job), total=total, completed=done)
    return job
