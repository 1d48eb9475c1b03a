"""What the gate knows of a challenger: both models' scores of the same records, and the checks made of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from db.portfolios.retraining_policy import GatePolicy
from transformer.evaluation.paired_differences import Difference
from worker.drift import Histogram
from worker.gate.looks import Look

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scored:
    """Records with known outcomes, with both models' probabilities and points."""

    target: Floats
    champion: Floats
    challenger: Floats
    champion_points: NDArray[np.int32]
    challenger_points: NDArray[np.int32]

    def part(self, rows: NDArray[Any]) -> "Scored":
        """Return some of them (mask or indices)."""
        names = ("target", "champion", "challenger", "champion_points", "challenger_points")
        return Scored(*(getattr(self, name)[rows] for name in names))

    @property
    def bad(self) -> int:
        """Records with the bad outcome."""
        return int((self.target == 1).sum())

    @property
    def good(self) -> int:
        """The others."""
        return len(self.target) - self.bad


@dataclass(frozen=True)
class Slopes:
    """Calibration slopes of both models on the judging records; `error` is the challenger's standard error."""

    champion: float
    challenger: float
    error: float

    @property
    def is_nearer(self) -> bool:
        """Whether the challenger's is nearer to 1, as a ratio."""
        mine, theirs = (abs(np.log(max(one, 1e-9))) for one in (self.challenger, self.champion))
        return bool(mine < theirs)


@dataclass(frozen=True)
class Evidence:
    """Everything the gate needs. Dates are texts that sort as dates; "" if there are none.

    `segments` has a mask over `judging` for each name. `old` are earlier records that neither model was trained on; it
    is empty for a refit, which learns from all of them. `is_refit`: the challenger is the champion's recipe, fitted
    again on all that the champion knew and more. `is_provisional`: it has learned from the judging records since, which
    judged the same recipe before that. `is_random_part`: the judging records were drawn from the newest date by a hash,
    because there is no earlier date. `looks` is how often the gate has looked at this challenger before.
    `population` says in words whom the records that judge stand for.
    """

    judging: Scored
    old: Scored
    learned_date: str
    judging_date: str
    slopes: Slopes | None
    canary_mismatches: int
    relative_speed: float
    segments: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict[str, NDArray[np.bool_]])
    cut_off: float | None = None
    shadow_nights: int = 0
    shadow_nights_wanted: int = 0
    shadow_psi: float | None = None
    is_refit: bool = False
    is_provisional: bool = False
    is_random_part: bool = False
    looks: int = 0
    population: str = ""

    def look(self, policy: GatePolicy) -> Look:
        """Return the look that this evidence is for."""
        return Look(self.looks == 0, self.judging.bad, policy.least_bad, 1 - policy.confidence)


@dataclass(frozen=True)
class Check:
    """One check: passed, failed, or (None) noted without a limit."""

    name: str
    passed: bool | None
    said: str
    figures: dict[str, Any] = field(default_factory=dict[str, Any])

    def to_document(self) -> dict[str, Any]:
        """Return the check as a JSON document."""
        return {"name": self.name, "passed": self.passed, "said": self.said, "figures": self.figures}


def histogram_of(points: NDArray[np.int32]) -> Histogram:
    """Return the histogram of points."""
    values, counts = np.unique(points, return_counts=True)
    return Histogram(dict(zip(values.tolist(), counts.tolist(), strict=True)))


def sides_of(scored: Scored) -> tuple[Floats, Floats, Floats]:
    """Return outcomes and both models' probabilities."""
    return scored.target, scored.champion, scored.challenger


def describe(one: Difference) -> str:
    """Return a difference in words."""
    return f"{one.challenger:.4f} against {one.champion:.4f} ({one.difference:+.4f}, {one.low:+.4f} to {one.high:+.4f})"
