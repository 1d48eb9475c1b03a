"""Shows a job's progress while a command waits: a bar on a terminal, a line from time to time elsewhere."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from db.ledger.job_lifecycle import Job
from db.schema.states import JobKind, JobState

LINE_SECONDS = 10.0
_PARTS = 1000  # of a bar that counts no records


@contextmanager
def job_progress(say: Callable[[str], None]) -> Generator[Callable[[Job], None]]:
    """Yield a function that shows a job at each poll."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(say)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), _Figures(), _TimeLeft())
    with Progress(*columns, console=console, transient=True) as progress:
        yield _Bar(progress)


class _Bar:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("starting", total=None)
        self._has_started = False

    def __call__(self, job: Job) -> None:
        done, total = _steps(job)
        if not self._has_started and job.started_at is not None:
            self._progress.reset(self._task, total=total or None)
            self._has_started = True
        description = f"job {job.id} {job.kind} {_stage(job)}"
        figures, left = _figures(job), (job.progress or {}).get("seconds_left")
        self._progress.update(self._task, completed=done, total=total or None, description=description)
        self._progress.update(self._task, figures=figures, seconds_left=left)


class _Figures(ProgressColumn):
    """Records per second and rejects, or the epoch's validation figure."""

    def render(self, task: Task) -> Text:
        """Draw the figures of the job."""
        figures = str(task.fields.get("figures", ""))
        is_counting_records = task.total is not None and task.total > 1 and "rejected" in figures
        speed = f"{task.speed:,.0f} records/s  " if is_counting_records and task.speed else ""
        return Text(speed + figures)


class _TimeLeft(TimeRemainingColumn):
    """The time left: the training's own estimate, or from the bar's speed for a scoring job."""

    def render(self, task: Task) -> Text:
        """Draw it as minutes and seconds."""
        seconds = task.fields.get("seconds_left")
        return super().render(task) if seconds is None else Text("{}:{:02d} left".format(*divmod(int(seconds), 60)))


class _Lines:
    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._said: Any = None
        self._at = 0.0

    def __call__(self, job: Job) -> None:
        now = time.monotonic()
        if (job.state == self._said and now - self._at < LINE_SECONDS) or (job.state == self._said and not job.is_open):
            return
        self._said, self._at = job.state, now
        self._say(f"job {job.id} {job.kind} {_stage(job)} {_figures(job)}".rstrip())


def _stage(job: Job) -> str:
    stage = (job.progress or {}).get("stage")
    return str(stage) if stage and job.is_open else str(job.state)


def _steps(job: Job) -> tuple[int, int]:
    if job.kind is JobKind.SCORING:
        return job.scored + job.rejected, job.inputs
    done = 1.0 if job.state is JobState.DONE else (job.progress or {}).get("done")
    return (0, 0) if done is None else (round(_PARTS * done), _PARTS)


def _figures(job: Job) -> str:
    if job.kind is JobKind.SCORING:
        return f"{job.scored + job.rejected:,} of {job.inputs:,}, {job.rejected:,} rejected"
    if not job.is_open:  # its last bar stopped short of the end
        return ""
    progress = job.progress or {}
    parts = [f"{progress['done']:.0%}"] if "done" in progress else []
    if "epoch" in progress:
        parts.append(f"epoch {progress['epoch']} of {progress['epochs']}")
    if "fold" in progress:
        parts.append(f"fold {progress['fold']} of {progress['folds']}")
    if "valid_auc" in progress:  # pretraining and refitting use no validation rows
        parts.append(f"validation ROC AUC {progress['valid_auc']:.4f}")
    return ", ".join(parts)
