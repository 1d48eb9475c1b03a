"""The progress of a training: one bar from reading the book to the gate, and the time left.

The bar is an estimate: how long each stage takes in comparison is known, how many fits a book needs is not. It never
goes back. A thread writes it every two seconds, because one step of a library may take longer than that; the lease is
not its business (`worker/runtime/heartbeat.py`), so a training that hangs still loses its shard.
"""

import math
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from db.connections.engine import Engine
from db.errors import DatabaseError
from db.ledger.shard_leases import Claim, show_progress
from transformer.fitting.options import EpochReport

WRITE_SECONDS = 2.0
# What each stage takes in comparison, on credit_cards and german_credit.
TRAINING = {"reading": 4.0, "fitting": 60.0, "refitting": 12.0, "reasons": 14.0, "saving": 6.0, "gate": 4.0}
FINE_TUNING = {"reading": 20.0, "fitting": 40.0, "reasons": 20.0, "saving": 5.0, "gate": 15.0}
_STEP = 0.02  # of what is left of a stage, at every write: the bar moves where nothing is counted
_LEAST_SHARE, _LEAST_SECONDS = 0.05, 3.0  # before that nothing can be said of the time left


def training_plan(folds: int) -> dict[str, float]:
    """Return the stages of a training that is cross-validated in so many folds as well, in their order.

    >>> list(training_plan(5))
    ['reading', 'fitting', 'refitting', 'folds', 'reasons', 'saving', 'gate']
    """
    fit = TRAINING["fitting"] + TRAINING["refitting"]
    first = {name: TRAINING[name] for name in ("reading", "fitting", "refitting")}
    return first | ({"folds": fit * folds} if folds else {}) | TRAINING


class ProgressBoard:
    """The progress of one training. Every method returns the document that is shown."""

    def __init__(self, plan: Mapping[str, float], *, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with the first stage of the plan."""
        whole, so_far = sum(plan.values()), 0.0
        self._spans: dict[str, tuple[float, float]] = {}
        for stage, part in plan.items():
            self._spans[stage] = (so_far / whole, (so_far + part) / whole)
            so_far += part
        self._clock, self._began = clock, clock()
        self._lock = threading.Lock()
        self._done, self._end = 0.0, 0.0
        self._stage, self._figures = "", dict[str, Any]()
        self.enter(next(iter(plan)))

    def enter(self, stage: str, **figures: Any) -> dict[str, Any]:
        """Begin a stage of the plan, or add figures to the present one."""
        with self._lock:
            begin, end = self._spans[stage]
            self._done, self._end = max(self._done, begin), max(self._end, end)
            self._stage, self._figures = stage, figures
            return self._document()

    def after_epoch(self, report: EpochReport) -> dict[str, Any]:
        """Advance after an epoch; the number of further fits is not known, so each takes a part of the rest."""
        if report.stage.startswith("refitting") and "refitting" in self._spans:
            self.enter("refitting")
        figures = {"valid_auc": report.valid_auc, "train_loss": report.train_loss}
        rounded = {name: round(value, 5) for name, value in figures.items() if math.isfinite(value)}
        with self._lock:
            self._done += (self._end - self._done) * 0.5 / (max(0, report.epochs - report.epoch) + 2)
            self._stage, self._figures = report.stage, {"epoch": report.epoch, "epochs": report.epochs, **rounded}
            return self._document()

    def tick(self) -> dict[str, Any]:
        """Advance a little because time has passed."""
        with self._lock:
            self._done += (self._end - self._done) * _STEP
            return self._document()

    def _document(self) -> dict[str, Any]:
        seconds = self._clock() - self._began
        is_known = self._done >= _LEAST_SHARE and seconds >= _LEAST_SECONDS
        left = round(seconds * (1 - self._done) / self._done) if is_known else None
        document = {"stage": self._stage, "done": round(self._done, 4), "seconds": round(seconds), "seconds_left": left}
        return document | self._figures


@contextmanager
def shown(engine: Engine, claim: Claim, board: ProgressBoard) -> Generator[ProgressBoard]:
    """Write the board every two seconds for the time of a block, as long as the shard is held."""
    ending = threading.Event()

    def write() -> None:
        while not ending.wait(WRITE_SECONDS):
            with suppress(DatabaseError):  # a bar may stand still for a moment
                show_progress(engine, claim, board.tick())

    thread = threading.Thread(target=write, name="progress", daemon=True)
    thread.start()
    try:
        yield board
    finally:
        ending.set()
        thread.join()
