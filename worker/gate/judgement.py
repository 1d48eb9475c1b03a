"""The gate: decides from figures whether a challenger becomes champion. Pure; the portfolio sets the limits."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
from worker.gate.looks import Look

LEAST_PER_SEGMENT = 30  # records of each outcome; a smaller segment is reported but not judged
STANDARD_ERRORS = 1.96  # within which a calibration slope may lie by chance
MOST_LOOKS = 12  # at a challenger that nothing speaks against and nothing proves
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
    again on all that the champion knew and more. `is_random_part`: the judging records were drawn from the newest date
    by a hash, because there is no earlier date. `looks` is how often the gate has looked at this challenger before.
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


def judge_challenger(evidence: Evidence, policy: GatePolicy, *, held: bool = False) -> Judgement:
    """Judge a challenger by outcomes later than anything that it was trained on.

    A check that is failed refuses. Where only the proof is lacking, that the challenger is not worse and that it is
    better, there is no decision: it stays in the race, and is judged again when more outcomes are known.
    """
    lacking = _lacking(evidence, policy)
    if lacking is not None:
        return _judgement(Outcome.UNDECIDED, lacking, [])
    proofs = _prove_merit(evidence, policy)
    checks = [
        *proofs,
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
    proven_worse = [one.said for one in proofs if one.figures.get("is_worse")]
    population = evidence.population and f"; {evidence.population}"
    if proven_worse or any(one not in proofs for one in failed):
        return _judgement(Outcome.REFUSE, "; ".join(one.said for one in failed) + population, checks)
    if failed:
        return _without_proof(evidence, failed, checks)
    if held:
        return _judgement(Outcome.UNDECIDED, "every check passed, but the portfolio is on hold", checks)
    if evidence.shadow_nights < evidence.shadow_nights_wanted:
        waits = f"every check passed; {evidence.shadow_nights} of {evidence.shadow_nights_wanted} nights in shadow"
        return _judgement(Outcome.UNDECIDED, waits, checks)
    gains = next(one for one in checks if one.name == "gain")
    return _judgement(Outcome.PROMOTE, f"every check passed; {gains.said}{population}", checks)


def _without_proof(evidence: Evidence, failed: list[Check], checks: list[Check]) -> Judgement:
    why = "; ".join(one.said for one in failed)
    if evidence.looks + 1 >= MOST_LOOKS:
        return _judgement(Outcome.REFUSE, f"no proof after {MOST_LOOKS} looks: {why}", checks)
    return _judgement(Outcome.UNDECIDED, f"stays in the race: {why}", checks)


def _lacking(evidence: Evidence, policy: GatePolicy) -> str | None:
    judging = evidence.judging
    if len(judging.target) and evidence.judging_date <= evidence.learned_date and not evidence.is_random_part:
        dated = f"the outcomes are dated {evidence.judging_date}"
        return f"{dated}, not later than the training data ({evidence.learned_date})"
    if min(judging.bad, judging.good) < policy.least_bad:
        found = f"{judging.bad} bad and {judging.good} good outcomes later than the training data"
        return f"{found}; {policy.least_bad} of each are needed"
    return None


def _prove_merit(evidence: Evidence, policy: GatePolicy) -> list[Check]:
    """The AUC must be proven not to be worse by more than the limit, and the challenger better.

    A refit has learned more than the champion by the same recipe, so it is expected to be better: there it is enough
    that ROC AUC or Brier score is better on these records. Any other challenger must prove one of the two; each
    is given half of the permitted error.
    """
    look, judging = evidence.look(policy), evidence.judging
    auc = compare_auc(*_sides(judging), confidence=policy.confidence).reaching(look.reach)
    brier = compare_brier(*_sides(judging), confidence=policy.confidence).reaching(look.reach)
    calibration = compare_calibration(*_sides(judging), confidence=policy.confidence)
    kept = auc.low >= -policy.largest_auc_loss
    said = f"ROC AUC {_describe(auc)}, its interval must not reach below {-policy.largest_auc_loss:g}"
    figures = {"ROC AUC": auc.to_document(), "Brier score": brier.to_document()}
    figures |= {"calibration error": calibration.to_document(), "looks": evidence.looks + 1, "reach": look.reach}
    if evidence.is_refit:
        gains = {"ROC AUC": auc.difference > 0, "Brier score": brier.difference < 0}
    else:
        half = replace(look, error=look.error / 2).reach
        gains = {"ROC AUC": auc.reaching(half).low > 0, "Brier score": brier.reaching(half).high < 0}
    return [
        Check("roc_auc", kept, said, auc.to_document() | {"is_worse": auc.high < -policy.largest_auc_loss}),
        _gain_of(evidence, {"ROC AUC": auc, "Brier score": brier}, gains, figures | {"is_worse": brier.low > 0}),
    ]


def _gain_of(evidence: Evidence, compared: dict[str, Difference], gains: dict[str, bool], figures: Any) -> Check:
    better = ", ".join(f"{name} {_describe(compared[name])}" for name, is_so in gains.items() if is_so)
    if evidence.is_refit:
        said = f"a refit on more outcomes, better: {better}" if better else "a refit that is better in neither figure"
    else:
        said = f"proven better: {better}" if better else "neither ROC AUC nor Brier score is proven better"
    if figures["is_worse"]:
        said = f"Brier score proven worse: {_describe(compared['Brier score'])}"
    return Check("gain", bool(better) and not figures["is_worse"], said, figures)


def _check_calibration(evidence: Evidence, policy: GatePolicy) -> Check:
    """The slope fails where it is proven outside the limits and no nearer to 1 than the champion's."""
    low, high, slopes = policy.least_calibration_slope, policy.largest_calibration_slope, evidence.slopes
    if slopes is None:
        return Check("calibration_slope", passed=False, said="calibration slope unknown", figures={"slope": None})
    slope, reach = slopes.challenger, STANDARD_ERRORS * slopes.error
    is_within = slope + reach >= low and slope - reach <= high
    said = f"calibration slope {slope:.3f} (standard error {slopes.error:.3f}); the limits are {low:g} to {high:g}"
    if not is_within:
        said += f"; the champion's is {slopes.champion:.3f}"
    figures = {"slope": slope, "error": slopes.error, "champion": slopes.champion}
    return Check("calibration_slope", is_within or slopes.is_nearer, said, figures)


def _check_old(old: Scored, policy: GatePolicy) -> Check:
    if min(old.bad, old.good) < LEAST_PER_SEGMENT:
        return Check("old_population", None, f"{counted(old.bad, 'bad record')} from before: too few to judge")
    auc = compare_auc(*_sides(old), confidence=policy.confidence)
    said = f"ROC AUC on the old population {_describe(auc)}"
    return Check("old_population", auc.high >= -policy.largest_auc_loss, said, auc.to_document())


def _check_segments(evidence: Evidence, policy: GatePolicy) -> list[Check]:
    """All segments together are wrongly called worse as seldom as one alone would be."""
    checks: list[Check] = []
    confidence = 1 - (1 - policy.confidence) / max(1, len(evidence.segments))
    for name, rows in evidence.segments.items():
        part = evidence.judging.part(rows)
        if min(part.bad, part.good) < LEAST_PER_SEGMENT:
            checks.append(
                Check(f"segment {name}", None, f"segment {name}: {counted(part.bad, 'bad record')}, too few to judge")
            )
            continue
        auc = compare_auc(*_sides(part), confidence=confidence)
        said = f"ROC AUC in segment {name} {_describe(auc)}"
        checks.append(Check(f"segment {name}", auc.high >= -policy.largest_auc_loss, said, auc.to_document()))
    return checks


def _check_points(evidence: Evidence, policy: GatePolicy) -> Check:
    """Points may move far only where the present ones are proven wrong: then leaving them would be the harm."""
    judging = evidence.judging
    figures = compare(histogram_of(judging.champion_points), histogram_of(judging.challenger_points))
    brier = compare_brier(*_sides(judging), confidence=policy.confidence)
    is_earned = brier.high < 0
    said = f"PSI of points on the same records {figures.psi:.4f}, the limit is {policy.largest_points_psi:g}"
    said += ", and the Brier score is proven better" if is_earned else ""
    passed = figures.psi <= policy.largest_points_psi or is_earned
    return Check("points", passed, said, {"psi": figures.psi, "is_earned": is_earned})


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
