"""A night as the source delivers it, and what the monitor says of it: counted and judged by the product's own code."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.night_changes.books import Book
from db.portfolios.definition import ScoreScale
from db.portfolios.monitoring_policy import MonitoringPolicy
from db.schema.states import Verdict
from transformer.bundles.field_bins import FieldBins
from transformer.records.column_reading import read_columns
from transformer.records.features import FeatureTransform, Inputs
from transformer.scoring import points as points_of_scores
from worker.drift.alarm_limits import set_limits
from worker.drift.night_verdict import NightEvidence, PreviousNight, Reference, examine_night
from worker.drift.psi import BINS
from worker.scoring.monitor_counts import count_points

CANARY_RECORDS = 100
REJECT_BUDGET = 0.01  # the default of a portfolio: a job with more rejects fails and has no scores to show
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Night:
    """Records with their keys in the order of rows, and what a fault does to the model's arithmetic."""

    records: pd.DataFrame
    keys: NDArray[np.object_]
    arithmetic: Callable[[Floats], Floats] | None = None


@dataclass(frozen=True)
class Finding:
    """What became of a night: `has_scores` is False where the job failed by its reject budget."""

    verdict: str
    has_scores: bool
    suspicions: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    @property
    def is_unusable(self) -> bool:
        """Whether nobody is shown the night's scores."""
        return not self.has_scores or self.verdict == Verdict.BROKEN_PIPELINE


class Monitor:
    """Watches one book: bins and reference as a training freezes them, and a linear model in place of the network."""

    def __init__(self, book: Book) -> None:
        learnt, _ = read_columns(book.learnt, book.schema)
        held_out, _ = read_columns(book.held_out, book.schema)
        self._book = book
        self._transform = FeatureTransform.fit(learnt, book.schema)
        inputs = _as_matrix(self._transform.transform(learnt))
        self._weights = np.linalg.lstsq(inputs, book.outcome - book.outcome.mean(), rcond=None)[0]
        self._bins = FieldBins.fit(held_out, self._transform)
        self._scale = ScoreScale()
        self._reference = self._count(Night(book.held_out, _keys_of(len(book.held_out))))
        self._before = self._count(self.quiet_night(), compared=_keys_of(len(book.tonight)))
        policy = MonitoringPolicy()
        self._limits = set_limits(
            [],
            n_reference=len(book.held_out),
            n_current=len(book.tonight),
            bins=BINS + 1,
            watch_psi=policy.watch_psi,
            quiet_years=policy.quiet_years,
        )

    def quiet_night(self) -> Night:
        """Return tonight's records as they are without any change."""
        return Night(self._book.tonight, _keys_of(len(self._book.tonight)))

    def judge(self, night: Night) -> Finding:
        """Return what the monitor says of a night, by the defaults of a portfolio."""
        counts = self._count(night, compared=self.quiet_night().keys)
        scored = sum(counts["points"].values())
        if counts["unscorable"] > REJECT_BUDGET * (scored + counts["unscorable"]):
            return Finding("failed", has_scores=False, reasons=["more rejects than the budget"])
        evidence = NightEvidence(
            job_id=2,
            counts=counts,
            reference=Reference("training", self._reference),
            scale=self._scale,
            limits=self._limits,
            previous=PreviousNight(1, self._before, has_same_model=True),
        )
        found = examine_night(evidence, MonitoringPolicy())
        suspicions = list(found.suspicions.values())
        return Finding(str(found.verdict), has_scores=True, suspicions=suspicions, reasons=found.figures["reasons"])

    def _count(self, night: Night, compared: NDArray[np.object_] | None = None) -> dict[str, Any]:
        """Count a night as one shard counts it: records that cannot be read are left out."""
        is_repeated = pd.Series(night.keys).duplicated().to_numpy()
        kept, keys = night.records[~is_repeated].reset_index(drop=True), night.keys[~is_repeated]
        _, problems = read_columns(kept, self._book.schema)
        is_read = ~pd.RangeIndex(len(kept)).isin([one.row for one in problems])
        arrays, _ = read_columns(kept[is_read].reset_index(drop=True), self._book.schema)
        points = points_of_scores.ScoreScale().points_of(self._score(self._transform.transform(arrays)))
        both = 0 if compared is None else int(pd.Index(keys[is_read]).isin(compared).sum())
        return {
            "points": count_points(points),
            "unscorable": int(is_repeated.sum() + (~is_read).sum()),
            "fields": self._bins.count(arrays),
            "segments": {},
            "migration": {"D": {"D": both}} if both else {},
            "canary": self._check_canary(night),
        }

    def _score(self, inputs: Inputs) -> Floats:
        risk = _as_matrix(inputs) @ self._weights + self._book.outcome.mean()
        return np.clip(risk, 0.001, 0.999)

    def _check_canary(self, night: Night) -> dict[str, Any]:
        arrays, _ = read_columns(self._book.held_out.head(CANARY_RECORDS), self._book.schema)
        expected = self._score(self._transform.transform(arrays)).round(6)
        actual = expected if night.arithmetic is None else night.arithmetic(expected).round(6)
        differences = np.abs(actual - expected)
        mismatches = int((differences > 0).sum())
        return {"records": CANARY_RECORDS, "mismatches": mismatches, "largest_difference": float(differences.max())}


def _keys_of(rows: int) -> NDArray[np.object_]:
    return np.array([f"{row:06d}" for row in range(rows)], dtype=object)


def _as_matrix(inputs: Inputs) -> Floats:
    """The network's inputs side by side, names as one column for each of the first 30 numbers."""
    parts = [np.asarray(inputs[name], dtype=np.float64) for name in ("positions", "missing") if name in inputs]
    ids = inputs.get("categories", np.empty((len(parts[0]), 0)))
    parts += [np.eye(30)[np.minimum(ids[:, column], 29)] for column in range(ids.shape[1])]
    return np.concatenate(parts, axis=1)
