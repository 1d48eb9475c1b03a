"""All figures that compare two distributions of scores, and the verdict without further evidence."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.distance import jensenshannon

from db.schema.states import Verdict
from worker.drift.distribution import Distribution, Histogram
from worker.drift.psi import Floats, compare_shares

MINIMUM_RECORDS = 200  # below this the corrected PSI swings by more than the thresholds
WATCH_PSI = 0.1
DRIFTED_PSI = 0.25


@dataclass(frozen=True)
class DriftFigures:
    """How far a night's scores are from the reference.

    `wasserstein` is in the scores' own unit; `jensen_shannon` is the distance to base 2, 0 to 1, on the PSI's bins;
    `shift` is the difference of the means in standard deviations of the reference, None if that has none.
    """

    psi: float
    psi_corrected: float
    psi_interval: tuple[float, float]
    ks: float
    wasserstein: float
    jensen_shannon: float
    shift: float | None
    n_reference: int
    n_current: int
    unscorable_reference: int
    unscorable_current: int

    def to_document(self) -> dict[str, Any]:
        """Return the figures as a JSON document."""
        return vars(self) | {"psi_interval": list(self.psi_interval)}


def compare(
    reference: Distribution | Histogram, current: Distribution | Histogram, *, edges: Floats | None = None
) -> DriftFigures:
    """Compare two distributions, on the reference's quantile bins unless `edges` gives others.

    Raises `ValueError` if one holds no score.
    """
    one, other = _as_distribution(reference), _as_distribution(current)
    if one.count == 0 or other.count == 0:
        raise ValueError("both sides need at least one score")
    moved = compare_shares(one, other, edges=edges)
    ks, wasserstein = _distances(one, other)
    return DriftFigures(
        psi=moved.psi,
        psi_corrected=moved.psi_corrected,
        psi_interval=moved.psi_interval,
        ks=ks,
        wasserstein=wasserstein,
        jensen_shannon=float(jensenshannon(moved.expected, moved.actual, base=2)),
        shift=shift_of(one, other),
        n_reference=one.count,
        n_current=other.count,
        unscorable_reference=one.unscorable,
        unscorable_current=other.unscorable,
    )


def shift_of(reference: Distribution, current: Distribution) -> float | None:
    """Return the difference of the means in standard deviations of the reference, None if that has none."""
    moved, deviation = current.mean - reference.mean, reference.deviation
    if deviation > 0:
        return moved / deviation
    return 0.0 if moved == 0 else None


def judge(figures: DriftFigures) -> Verdict:
    """Return the verdict on two distributions: by effect size, never by a p-value."""
    if min(figures.n_reference, figures.n_current) < MINIMUM_RECORDS:
        return Verdict.INSUFFICIENT
    if figures.psi_corrected >= DRIFTED_PSI:
        return Verdict.DRIFTED
    return Verdict.WATCH if figures.psi_corrected >= WATCH_PSI else Verdict.STABLE


def _as_distribution(either: Distribution | Histogram) -> Distribution:
    return either.distribution() if isinstance(either, Histogram) else either


def _distances(reference: Distribution, current: Distribution) -> tuple[float, float]:
    """KS statistic and Wasserstein-1 distance, exact from the counts."""
    values = np.concatenate([reference.values, current.values])
    values.sort()  # a value on both sides occurs twice in a row
    difference = np.abs(reference.cumulative(values) - current.cumulative(values))
    return float(difference.max()), float((difference[:-1] * (values[1:] - values[:-1])).sum())
