"""The gate: decides from figures whether a challenger becomes champion. Pure; the portfolio sets the limits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from db.events.wording import counted
from db.portfolios.retraining_policy import GatePolicy
from transformer.evaluation.paired_differences import (
    Difference,
    compare_auc,
    compare_brier,
    compare_calibration,
    compare_rates,
)
from worker.drift import Histogram, compare

LEAST_PER_SEGMENT = 30  # records of each outcome; a smaller segment is reported but not judged
USUAL_TURNED_AWAY = 0.1  # share that the champion turns away where the portfolio names no cut-off

Floats = NDArray[np.float64]


class Outcome(StrEnum):
    """The outcome of a judgement."""

    PROMOTE = "promote"
    REFUSE = "refuse"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Judgement:
    """The gate's judgement, as a sentence and as figures."""

    promoted: bool
    reason: str
    figures: dict[str, Any]
    outcome: Outcome = Outcome.REFUSE


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
class Evidence:
    """Everything the gate needs. Dates are texts that sort as dates; "" if there are none.

    `segments` has a mask over `judging` for each name. `old` are earlier records that neither model was trained on.
    """

    judging: Scored
    old: Scored
    learned_date: str
    judging_date: str
    calibration_slope: float | None
    canary_mismatches: int
    relative_speed: float
    segments: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict[str, NDArray[np.bool_]])
    cut_off: float | None = None
    shadow_nights: int = 0
    shadow_nights_wanted: int = 0
    shadow_psi: float | None = None


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


def judge_challenger(evidence: Evidence, policy: GatePolicy, *, held: bool = False) -> Judgement:
    """Judge a challenger by outcomes later than anything that it was trained on.

    Too little evidence gives no decision, so that later evidence can decide. Otherwise every check must pass.
    """
    lacking = _lacking(evidence, policy)
    if lacking is not None:
        return _judgement(Outcome.UNDECIDED, lacking, [])
    checks = [
        *_check_merit(evidence.judging, policy),
        _check_calibration(evidence, policy),
        _check_old(evidence.old, policy),
        *_check_segments(evidence, policy),
        _check_points(evidence, policy),
        _check_swaps(evidence, policy),
        _check_canary(evidence),
        _check_speed(evidence, policy),
        *_check_shadow(evidence, policy),
    ]
    failed = [one for one in checks if one.passed is False]
    if failed:
        return _judgement(Outcome.REFUSE, "; ".join(one.said for one in failed), checks)
    if held:
        return _judgement(Outcome.UNDECIDED, "every check passed, but the portfolio is on hold", checks)
    if evidence.shadow_nights < evidence.shadow_nights_wanted:
        waits = f"every check passed; {evidence.shadow_nights} of {evidence.shadow_nights_wanted} nights in shadow"
        return _judgement(Outcome.UNDECIDED, waits, checks)
    gains = next(one for one in checks if one.name == "gain")
    return _judgement(Outcome.PROMOTE, f"every check passed; {gains.said}", checks)


def _lacking(evidence: Evidence, policy: GatePolicy) -> str | None:
    judging = evidence.judging
    if len(judging.target) and evidence.judging_date <= evidence.learned_date:
        dated = f"the outcomes are dated {evidence.judging_date}"
        return f"{dated}, not later than the training data ({evidence.learned_date})"
    if min(judging.bad, judging.good) < policy.least_bad:
        found = f"{judging.bad} bad and {judging.good} good outcomes later than the training data"
        return f"{found}; {policy.least_bad} of each are needed"
    return None


def _check_merit(judging: Scored, policy: GatePolicy) -> list[Check]:
    """The AUC must not be worse, and at least one figure must be proven better."""
    compared = {
        "ROC AUC": compare_auc(*_sides(judging), confidence=policy.confidence),
        "Brier score": compare_brier(*_sides(judging), confidence=policy.confidence),
        "calibration error": compare_calibration(*_sides(judging), confidence=policy.confidence),
    }
    auc = compared["ROC AUC"]
    kept = auc.low >= -policy.largest_auc_loss
    said = f"ROC AUC {_describe(auc)}, its interval must not reach below {-policy.largest_auc_loss:g}"
    gains = [name for name, one in compared.items() if (one.low > 0 if name == "ROC AUC" else one.high < 0)]
    best = ", ".join(f"{name} {_describe(compared[name])}" for name in gains)
    return [
        Check("roc_auc", kept, said, auc.to_document()),
        Check(
            "gain",
            bool(gains),
            f"significantly better: {best}"
            if gains
            else "none of ROC AUC, Brier score and calibration is significantly better",
            {name: one.to_document() for name, one in compared.items()},
        ),
    ]


def _check_calibration(evidence: Evidence, policy: GatePolicy) -> Check:
    low, high = policy.least_calibration_slope, policy.largest_calibration_slope
    slope = evidence.calibration_slope
    passed = slope is not None and low <= slope <= high
    value = "unknown" if slope is None else f"{slope:.3f}"
    return Check(
        "calibration_slope",
        passed,
        f"calibration slope {value}; the limits are {low:g} to {high:g}",
        {"slope": slope},
    )


def _check_old(old: Scored, policy: GatePolicy) -> Check:
    if min(old.bad, old.good) < LEAST_PER_SEGMENT:
        return Check("old_population", None, f"{counted(old.bad, 'bad record')} from before: too few to judge")
    auc = compare_auc(*_sides(old), confidence=policy.confidence)
    said = f"ROC AUC on the old population {_describe(auc)}"
    return Check("old_population", auc.high >= -policy.largest_auc_loss, said, auc.to_document())


def _check_segments(evidence: Evidence, policy: GatePolicy) -> list[Check]:
    checks: list[Check] = []
    for name, rows in evidence.segments.items():
        part = evidence.judging.part(rows)
        if min(part.bad, part.good) < LEAST_PER_SEGMENT:
            checks.append(
                Check(f"segment {name}", None, f"segment {name}: {counted(part.bad, 'bad record')}, too few to judge")
            )
            continue
        auc = compare_auc(*_sides(part), confidence=policy.confidence)
        said = f"ROC AUC in segment {name} {_describe(auc)}"
        checks.append(Check(f"segment {name}", auc.high >= -policy.largest_auc_loss, said, auc.to_document()))
    return checks


def _check_points(evidence: Evidence, policy: GatePolicy) -> Check:
    judging = evidence.judging
    figures = compare(histogram_of(judging.champion_points), histogram_of(judging.challenger_points))
    said = f"PSI of points on the same records {figures.psi:.4f}, the limit is {policy.largest_points_psi:g}"
    return Check("points", figures.psi <= policy.largest_points_psi, said, {"psi": figures.psi})


def _check_swaps(evidence: Evidence, policy: GatePolicy) -> Check:
    """Records that only the challenger accepts must not be worse than those that only the champion accepts."""
    judging = evidence.judging
    cut_off = evidence.cut_off
    if cut_off is None:
        cut_off = float(np.quantile(judging.champion_points, USUAL_TURNED_AWAY))
    before, after = judging.champion_points >= cut_off, judging.challenger_points >= cut_off
    swapped_in, swapped_out = judging.part(~before & after), judging.part(before & ~after)
    rates = compare_rates(
        *(swapped_out.bad, len(swapped_out.target), swapped_in.bad, len(swapped_in.target)),
        confidence=policy.confidence,
    )
    figures = {
        "cut_off": cut_off,
        "swapped_in": {"records": len(swapped_in.target), "bad": swapped_in.bad},
        "swapped_out": {"records": len(swapped_out.target), "bad": swapped_out.bad},
    }
    said = (
        f"at {cut_off:g} points {counted(len(swapped_in.target), 'record')} ({swapped_in.bad} bad) "
        f"would be accepted instead of {len(swapped_out.target):,} others ({swapped_out.bad} bad)"
    )
    return Check("swap_set", rates.low <= 0, said, figures)


def _check_canary(evidence: Evidence) -> Check:
    count = evidence.canary_mismatches
    said = f"scores of the saved bundle that differ from the model in memory: {count:,}"
    return Check("canary", count == 0, said, {"mismatches": count})


def _check_speed(evidence: Evidence, policy: GatePolicy) -> Check:
    speed = evidence.relative_speed
    said = f"speed {speed:.2f} of the champion's; at least {policy.least_speed:g} is required"
    return Check("speed", speed >= policy.least_speed, said, {"relative_speed": speed})


def _check_shadow(evidence: Evidence, policy: GatePolicy) -> list[Check]:
    if evidence.shadow_psi is None:
        return []
    said = f"PSI of points over {counted(evidence.shadow_nights, 'shadow night')}: {evidence.shadow_psi:.4f}"
    passed = evidence.shadow_psi <= policy.largest_points_psi
    return [Check("shadow", passed, said, {"psi": evidence.shadow_psi, "nights": evidence.shadow_nights})]


def histogram_of(points: NDArray[np.int32]) -> Histogram:
    """Return the histogram of points."""
    values, counts = np.unique(points, return_counts=True)
    return Histogram(dict(zip(values.tolist(), counts.tolist(), strict=True)))


def _sides(scored: Scored) -> tuple[Floats, Floats, Floats]:
    return scored.target, scored.champion, scored.challenger


def _describe(one: Difference) -> str:
    return f"{one.challenger:.4f} against {one.champion:.4f} ({one.difference:+.4f}, {one.low:+.4f} to {one.high:+.4f})"


def _judgement(outcome: Outcome, reason: str, checks: list[Check]) -> Judgement:
    figures = {"checks": [one.to_document() for one in checks]}
    return Judgement(outcome is Outcome.PROMOTE, reason, figures, outcome)
