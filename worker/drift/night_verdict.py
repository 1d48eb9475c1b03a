"""The monitor's verdict on a night: every figure, the reasons, the verdict. A pure function of counts."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from db.events.wording import counted
from db.portfolios.definition import ScoreScale
from db.portfolios.monitoring_policy import MonitoringPolicy
from db.schema.states import Verdict
from worker.drift.band_migration import describe_migration
from worker.drift.column_drift import FieldFigures, compare_fields, fields_document
from worker.drift.distribution import Distribution
from worker.drift.event_signs import late_sign
from worker.drift.expected_figures import expected_auc, expected_bad_rate, probabilities_of
from worker.drift.pipeline_faults import PipelineSigns, find_signs, tell_unseen
from worker.drift.psi import compare_shares
from worker.drift.score_comparison import DriftFigures, compare, shift_of
from worker.drift.sequential_rule import AlarmLimits, AlarmState, NightFigures, run_rule

Counts = Mapping[str, Any]  # as the shards wrote them and the database added them up


@dataclass(frozen=True)
class Reference:
    """What the night is compared with: counts, their origin, and the job if they are those of a night."""

    kind: str
    counts: Counts
    job_id: int | None = None


@dataclass(frozen=True)
class PreviousNight:
    """The previous night, on the same bins."""

    job_id: int
    counts: Counts
    has_same_model: bool


@dataclass(frozen=True)
class NightEvidence:
    """Everything known about a night. `history` has the earlier nights of this model that the sequential rule counts.

    `same_day` is the previous night with the same declared effect; `settled` is what a person decided to be honest.
    """

    job_id: int
    counts: Counts
    reference: Reference
    scale: ScoreScale
    limits: AlarmLimits
    history: Sequence[NightFigures] = ()
    previous: PreviousNight | None = None
    effect: str | None = None
    same_day: Reference | None = None
    settled: Collection[str] = ()
    event_tables: tuple[str, ...] = ()


@dataclass(frozen=True)
class Examination:
    """The verdict, the reasons and the figures; `series` is what later nights add up, None if it does not count.

    `faults` are certain, so that the scores are not to be used; `suspicions` are for a person to decide.
    """

    verdict: Verdict
    figures: dict[str, Any]
    series: NightFigures | None = None
    faults: dict[str, str] = field(default_factory=dict)
    suspicions: dict[str, str] = field(default_factory=dict)


def examine_night(evidence: NightEvidence, policy: MonitoringPolicy) -> Examination:
    """Compare a night with its reference and the previous night, run the sequential rule, and return the verdict."""
    reference, current = _scores(evidence.reference.counts), _scores(evidence.counts)
    fields = compare_fields(evidence.reference.counts.get("fields") or {}, evidence.counts.get("fields") or {})
    previous = None if evidence.previous is None else evidence.previous.counts
    found = find_signs(evidence.counts, evidence.reference.counts, previous, fields, policy, evidence.event_tables)
    if evidence.effect is not None:  # on a holiday a feed may rest
        found = found.without({late_sign(table) for table in evidence.event_tables})
    signs = found.without(evidence.settled)
    if reference.count == 0 or current.count == 0:
        return _without_scores(evidence, signs)
    figures = compare(reference, current)
    tonight = NightFigures(evidence.job_id, figures.psi_corrected, figures.shift or 0.0)
    has_enough = min(figures.n_reference, figures.n_current) >= policy.least_records
    is_counted = has_enough and not signs.faults and evidence.effect is None
    alarm = run_rule([*evidence.history, tonight] if is_counted else evidence.history, evidence.limits)
    segments = _compare_segments(evidence)
    moved_parts = _moved_parts(fields, segments, policy)
    verdict, reasons = _judge(evidence, policy, figures, alarm, signs, moved_parts)
    document = figures.to_document() | {
        "reference": {"kind": evidence.reference.kind, "job": evidence.reference.job_id},
        "previous": _compare_previous(evidence, current),
        "migration": _migration(evidence),
        "expected": _expect(reference, current, evidence.scale),
        "fields": fields_document(fields),
        "segments": segments,
        "canary": evidence.counts.get("canary"),
        "alarm": alarm.to_document(),
        "calendar": evidence.effect,
        "faults": signs.faults,
        "suspicions": signs.suspicions,
        "settled": sorted({*found.faults, *found.suspicions} - {*signs.faults, *signs.suspicions}),
        "reasons": reasons,
    }
    return Examination(verdict, document, tonight if is_counted else None, signs.faults, signs.suspicions)


def _judge(
    evidence: NightEvidence,
    policy: MonitoringPolicy,
    figures: DriftFigures,
    alarm: AlarmState,
    signs: PipelineSigns,
    moved_parts: list[str],
) -> tuple[Verdict, list[str]]:
    """A fault decides alone; a suspicion makes a quiet night one to watch, and hides no drift."""
    if signs.faults:
        return Verdict.BROKEN_PIPELINE, [*signs.faults.values(), *signs.suspicions.values()]
    verdict, reasons = _judge_scores(evidence, policy, figures, alarm, moved_parts)
    if signs.suspicions and verdict is Verdict.STABLE:
        verdict = Verdict.WATCH
    return verdict, [*signs.suspicions.values(), *reasons]


def _judge_scores(
    evidence: NightEvidence,
    policy: MonitoringPolicy,
    figures: DriftFigures,
    alarm: AlarmState,
    moved_parts: list[str],
) -> tuple[Verdict, list[str]]:
    least = min(figures.n_reference, figures.n_current)
    if least < policy.least_records:
        return Verdict.INSUFFICIENT, [
            f"{counted(least, 'score')} on one side; at least {policy.least_records} are needed"
        ]
    if evidence.effect is not None:
        return _judge_effect(evidence, policy, figures)
    if is_far(figures, policy):
        return Verdict.DRIFTED, [f"PSI {figures.psi_corrected:.3f} in one night"]
    if alarm.raised:
        first = "" if alarm.new else f", since the night of job {alarm.since_job}"
        return Verdict.DRIFTED, [_tell_alarm(alarm) + first]
    reasons = [f"PSI {figures.psi_corrected:.3f}"] if figures.psi_corrected >= policy.watch_psi else []
    if alarm.is_half_way:
        reasons.append(f"halfway to the alarm: {_tell_alarm(alarm)}")
    return (Verdict.WATCH, reasons + moved_parts) if reasons or moved_parts else (Verdict.STABLE, [])


def is_far(figures: DriftFigures, policy: MonitoringPolicy) -> bool:
    """Whether one night is enough: the shift is large, and its interval excludes a small one."""
    return figures.psi_corrected >= policy.drifted_psi and figures.psi_interval[0] >= policy.watch_psi


def _judge_effect(
    evidence: NightEvidence, policy: MonitoringPolicy, figures: DriftFigures
) -> tuple[Verdict, list[str]]:
    """A declared effect explains a shift from usual nights, but not from the previous night with the same effect."""
    if evidence.same_day is not None:
        last = _scores(evidence.same_day.counts)
        if last.count >= policy.least_records:
            since = compare(last, _scores(evidence.counts))
            reason = (
                f"PSI {since.psi_corrected:.3f} against the previous {evidence.effect} (job {evidence.same_day.job_id})"
            )
            if is_far(since, policy):
                return Verdict.DRIFTED, [reason]
            return (Verdict.WATCH, [reason]) if since.psi_corrected >= policy.watch_psi else (Verdict.STABLE, [])
    is_beyond = figures.psi_corrected >= policy.watch_psi
    reason = f"PSI {figures.psi_corrected:.3f} on {evidence.effect}, a declared effect with no earlier night"
    return (Verdict.WATCH, [reason]) if is_beyond else (Verdict.STABLE, [])


def _tell_alarm(alarm: AlarmState) -> str:
    shift = max(alarm.up, alarm.down)
    limits = alarm.limits
    return f"PSI sum {alarm.psi_sum:.3f} of {limits.psi_limit:.3f}, shift sum {shift:.3f} of {limits.shift_limit:.3f}"


def _moved_parts(
    fields: Mapping[str, FieldFigures], segments: Mapping[str, Mapping[str, Any]], policy: MonitoringPolicy
) -> list[str]:
    """Columns and segments that moved far although the whole book did not."""
    moved = tell_unseen(fields, policy) + [
        f"the column {name} moved: PSI {one.psi_corrected:.3f}"
        for name, one in fields.items()
        if one.psi_corrected >= policy.drifted_psi and one.records >= policy.least_records
    ]
    for column, values in segments.items():
        for value, one in values.items():
            if min(one["n"], one["n_reference"]) < policy.least_records:
                continue
            if one["psi_corrected"] >= policy.drifted_psi and one["psi_interval"][0] >= policy.watch_psi:
                moved.append(f"the segment {column} = {value} moved: PSI {one['psi_corrected']:.3f}")
    return moved


def _compare_previous(evidence: NightEvidence, current: Distribution) -> dict[str, Any] | None:
    """The previous night on the reference's bins, so that both figures are comparable."""
    if evidence.previous is None:
        return None
    before = _scores(evidence.previous.counts)
    if not before.count:
        return None
    figures = compare(before, current).to_document()
    return {"job": evidence.previous.job_id, "same_model": evidence.previous.has_same_model} | figures


def _migration(evidence: NightEvidence) -> dict[str, Any] | None:
    if evidence.previous is None:
        return None
    migration = describe_migration(evidence.counts.get("migration") or {})
    return None if migration is None else {"job": evidence.previous.job_id} | migration.to_document()


def _expect(reference: Distribution, current: Distribution, scale: ScoreScale) -> dict[str, float | None]:
    """AUC and bad rate expected from calibrated scores, computed from the stored points."""
    figures: dict[str, float | None] = {}
    for prefix, side in (("", current), ("reference_", reference)):
        probabilities = _probabilities(side, scale)
        figures[f"{prefix}auc"] = expected_auc(probabilities, side.counts)
        figures[f"{prefix}bad_rate"] = expected_bad_rate(probabilities, side.counts)
    return figures


def _compare_segments(evidence: NightEvidence) -> dict[str, dict[str, Any]]:
    before: Counts = evidence.reference.counts.get("segments") or {}
    found: dict[str, dict[str, Any]] = {}
    for column, values in (evidence.counts.get("segments") or {}).items():
        known = before.get(column, {})
        found[column] = {
            value: _compare_segment(_scores(known.get(value) or {"points": {}}), _scores(counts), evidence.scale)
            for value, counts in values.items()
        }
    return found


def _compare_segment(reference: Distribution, current: Distribution, scale: ScoreScale) -> dict[str, Any]:
    figures: dict[str, Any] = {"n": current.count, "n_reference": reference.count}
    figures["bad_rate"] = expected_bad_rate(_probabilities(current, scale), current.counts) if current.count else None
    if not reference.count or not current.count:
        return figures | {"psi_corrected": None, "psi_interval": None, "shift": None}
    moved = compare_shares(reference, current)
    interval = list(moved.psi_interval)
    return figures | {
        "psi_corrected": moved.psi_corrected,
        "psi_interval": interval,
        "shift": shift_of(reference, current),
    }


def _probabilities(side: Distribution, scale: ScoreScale) -> Any:
    return probabilities_of(side.values, base=scale.points, odds=scale.odds, points_to_double=scale.points_to_double)


def _without_scores(evidence: NightEvidence, signs: PipelineSigns) -> Examination:
    verdict = Verdict.BROKEN_PIPELINE if signs.faults else Verdict.INSUFFICIENT
    note, found = "no scores to compare", [*signs.faults.values(), *signs.suspicions.values()]
    document = {"note": note, "canary": evidence.counts.get("canary")}
    document |= {"faults": signs.faults, "suspicions": signs.suspicions}
    return Examination(verdict, document | {"reasons": found or [note]}, None, signs.faults, signs.suspicions)


def _scores(counts: Counts) -> Distribution:
    return Distribution.of_counts(counts["points"], counts.get("unscorable") or 0)
