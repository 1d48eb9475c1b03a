"""The migration of records between bands from one night to the next, and a test of marginal homogeneity."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import chdtrc

from worker.drift.distribution import Floats

BANDS = ("A", "B", "C", "D", "E", "F", "G", "H")


@dataclass(frozen=True)
class Migration:
    """`counts` has a row for each band of the previous night and a column for each of tonight's.

    `mean_move` is in bands, above 0 = riskier. `statistic` is Stuart and Maxwell's: chi-squared with `degrees` degrees
    of freedom where the bands' sizes stayed the same. `p_value` is reported, but decides nothing.
    """

    bands: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    matched: int
    moved_share: float
    mean_move: float
    statistic: float
    degrees: int
    p_value: float

    def to_document(self) -> dict[str, Any]:
        """Return it as a JSON document."""
        return vars(self) | {"bands": list(self.bands), "counts": [list(row) for row in self.counts]}


def describe_migration(counts: dict[str, dict[str, int]]) -> Migration | None:
    """Describe records by old band and new band; None if no record has both."""
    rows = [counts.get(band, {}) for band in BANDS]
    matrix = np.array([[row.get(band, 0) for band in BANDS] for row in rows], dtype=np.float64)
    matched = matrix.sum()
    if not matched:
        return None
    places = np.arange(len(BANDS))
    statistic, degrees = stuart_maxwell(matrix)
    return Migration(
        bands=BANDS,
        counts=tuple(map(tuple, matrix.astype(np.int64).tolist())),
        matched=int(matched),
        moved_share=float(1 - np.trace(matrix) / matched),
        mean_move=float(np.sum(matrix * (places[None, :] - places[:, None])) / matched),
        statistic=statistic,
        degrees=degrees,
        p_value=float(chdtrc(degrees, statistic)) if degrees else 1.0,
    )


def stuart_maxwell(matrix: Floats) -> tuple[float, int]:
    """Return the statistic of marginal homogeneity of a square table, and its degrees of freedom.

    With d = row sums - column sums and S_ii = n_i. + n_.i - 2 n_ii, S_ij = -(n_ij + n_ji), both without one band:
    d' S^-1 d. Empty bands, and bands that no record left or entered, are ignored. Source: Stuart 1955, Maxwell 1970.
    """
    rows, columns = matrix.sum(axis=1), matrix.sum(axis=0)
    covariance = np.diag(rows + columns) - matrix - matrix.T
    is_moving = np.diag(covariance) > 0
    if is_moving.sum() < 2:
        return 0.0, 0
    difference, covariance = (rows - columns)[is_moving], covariance[np.ix_(is_moving, is_moving)]
    sizes, directions = np.linalg.eigh(covariance)
    is_kept = np.abs(sizes) > np.abs(sizes).max() * len(sizes) * np.finfo(np.float64).eps
    projected = difference @ directions[:, is_kept]
    return float(np.sum(projected**2 / sizes[is_kept])), int(is_kept.sum())
