"""The gate's checks that refuse a challenger, however good its figures are otherwise. Pure."""

import numpy as np

from db.events.wording import counted
from db.portfolios.retraining_policy import GatePolicy
from transformer.evaluation.paired_differences import compare_auc, compare_brier, compare_rates
from worker.drift import compare
from worker.gate.exam import Check, Evidence, Scored, describe, histogram_of, sides_of

LEAST_PER_SEGMENT = 30  # records of each outcome; a smaller segment is reported but not judged
STANDARD_ERRORS = 1.96  # within which a calibration slope may lie by chance
USUAL_TURNED_AWAY = 0.1  # share that the champion turns away where the portfolio names no cut-off


def make_checks(evidence: Evidence, policy: GatePolicy) -> list[Check]:
    """Return all checks besides the two of merit."""
    return [
        _check_calibration(evidence, policy),
        _check_old(evidence.old, policy),
        *_check_segments(evidence, policy),
        _check_points(evidence, policy),
        _check_swaps(evidence, policy),
        _check_canary(evidence),
        _check_speed(evidence, policy),
        *_check_shadow(evidence, policy),
    ]


def _check_calibration(evidence: Evidence, policy: GatePolicy) -> Check:
    """The slope fails where it is proven outside the limits and no nearer to 1 than the champion's.

    A refit may be further from 1 if its Brier score is proven better, which counts calibration too: where the world has
    just changed, a model that has hardly seen it has the wrong slope, and the champion's may be right by chance.
    """
    low, high, slopes = policy.least_calibration_slope, policy.largest_calibration_slope, evidence.slopes
    if slopes is None:
        return Check("calibration_slope", passed=False, said="calibration slope unknown", figures={"slope": None})
    slope, reach = slopes.challenger, STANDARD_ERRORS * slopes.error
    is_within = slope + reach >= low and slope - reach <= high
    said = f"calibration slope {slope:.3f} (standard error {slopes.error:.3f}); the limits are {low:g} to {high:g}"
    if not is_within:
        said += f"; the champion's is {slopes.champion:.3f}"
    is_earned = evidence.is_refit and _is_brier_better(evidence, policy)
    figures = {"slope": slope, "error": slopes.error, "champion": slopes.champion, "is_earned": is_earned}
    return Check("calibration_slope", is_within or slopes.is_nearer or is_earned, said, figures)


def _is_brier_better(evidence: Evidence, policy: GatePolicy) -> bool:
    return compare_brier(*sides_of(evidence.judging), confidence=policy.confidence).high < 0


def _check_old(old: Scored, policy: GatePolicy) -> Check:
    if min(old.bad, old.good) < LEAST_PER_SEGMENT:
        return Check("old_population", None, f"{counted(old.bad, 'bad record')} from before: too few to judge")
    auc = compare_auc(*sides_of(old), confidence=policy.confidence)
    said = f"ROC AUC on the old population {describe(auc)}"
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
        auc = compare_auc(*sides_of(part), confidence=confidence)
        said = f"ROC AUC in segment {name} {describe(auc)}"
        checks.append(Check(f"segment {name}", auc.high >= -policy.largest_auc_loss, said, auc.to_document()))
    return checks


def _check_points(evidence: Evidence, policy: GatePolicy) -> Check:
    """Points may move far only where the present ones are proven wrong: then leaving them would be the harm."""
    judging = evidence.judging
    figures = compare(histogram_of(judging.champion_points), histogram_of(judging.challenger_points))
    is_earned = _is_brier_better(evidence, policy)
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
