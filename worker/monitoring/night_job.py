"""Compares the scores of a finished job with its model's reference. Costs O(bins) and reads no scores.

What is known of a night is read, the verdict is a pure function of it (`worker.drift.night_verdict`), and report,
marks and what follows are written in one transaction.
"""

from collections.abc import Collection
from dataclasses import dataclass
from logging import getLogger

from db.connections.engine import Engine, reading, writing
from db.ledger.job_closing import complete_whole_job
from db.ledger.job_lifecycle import Job
from db.ledger.shard_histograms import Counts, read_job_counts
from db.ledger.shard_leases import Claim
from db.monitoring.drift_reports import DriftReport, Night, find_first_night, insert_report, store_limits
from db.monitoring.night_background import find_background
from db.monitoring.night_decisions import find_settled
from db.monitoring.unusable_nights import mark_unusable
from db.portfolios.monitoring_policy import ReferenceChoice
from db.registry.versions import ModelVersion
from db.schema.states import Verdict
from worker.drift.alarm_limits import are_outdated, set_limits
from worker.drift.night_verdict import Examination, NightEvidence, PreviousNight, Reference, examine_night
from worker.drift.sequential_rule import AlarmLimits, NightFigures
from worker.monitoring.retraining_trigger import follow_up
from worker.runtime.context import WorkerContext

logger = getLogger(__name__)

WHO = "monitor"
_PSI_BINS = 11  # ten of scores and one of unscorable records


@dataclass(frozen=True)
class Known:
    """What the database holds about a night. `same_day` and `first` are jobs that it may be compared with."""

    night: Job
    model: ModelVersion
    counts: dict[int, Counts]
    nights: list[Night]
    limits: AlarmLimits | None
    effect: str | None
    same_day: int | None
    first: int | None
    has_same_model: bool

    @property
    def reference(self) -> Reference:
        """The first night of the model if the portfolio says so and there was one, else the held-out part."""
        if self.first is not None:
            return Reference("first_night", self.counts[self.first], self.first)
        return Reference("training", self.model.reference)

    @property
    def series(self) -> list[NightFigures]:
        """The nights that the sequential rule adds up, oldest first."""
        return [_figures_of(one) for one in self.nights if one.psi_corrected is not None and one.job_id != self.first]

    @property
    def quiet(self) -> list[NightFigures]:
        """Those of them without an alarm: what the limits are set from."""
        is_quiet = {one.job_id for one in self.nights if one.verdict in (Verdict.STABLE, Verdict.WATCH)}
        return [one for one in self.series if one.job_id in is_quiet]


def monitor_claimed(context: WorkerContext, claim: Claim) -> None:
    """Carry out the monitoring of one night."""
    known = read_known(context.engine, claim.job)
    limits = limits_for(known)
    examination = examine(known, limits)
    if examination.faults or examination.suspicions:
        with reading(context.engine) as connection:
            settled = find_settled(connection, known.night.portfolio, known.model.version)
        examination = examine(known, limits, settled)
    report = report_of(known, examination)
    with writing(context.engine) as connection:
        if insert_report(connection, report):
            if report.verdict is Verdict.BROKEN_PIPELINE:
                mark_unusable(connection, report.job_id, "; ".join(examination.faults.values())[:2000], who=WHO)
            if limits is not known.limits:
                store_limits(connection, report.portfolio, report.model_version, limits.to_document())
            follow_up(connection, claim.job, report)
        complete_whole_job(connection, claim, result={"verdict": report.verdict, "subject_job": report.job_id})
    logger.info("Job monitored: job %d, model %s, verdict %s.", report.job_id, report.model_version, report.verdict)


def read_known(engine: Engine, job: Job) -> Known:
    """Read what is known of the night that a monitoring job is about: a few rows, whatever its size."""
    assert job.subject_job_id is not None, "a monitoring job must name its scoring job"
    assert job.model_version is not None, "a monitored job must have a model version"
    with reading(engine) as connection:
        background = find_background(connection, job.subject_job_id, job.model_version)
        night, model, nights = background.night, background.model, background.nights
        policy, name, before = night.definition.monitoring, night.portfolio, night.compared_job_id
        effect = policy.effect_on(policy.date_of(night.options, night.created_at))
        same_day = next((one.job_id for one in reversed(nights) if effect and one.calendar == effect), None)
        first = None
        if policy.reference is ReferenceChoice.FIRST_NIGHT and nights:
            first = find_first_night(connection, name, model.version)
        wanted = [one for one in (night.id, before, same_day, first) if one is not None]
        lacking = [one for one in wanted if one not in background.counts]
        counts = background.counts | (read_job_counts(connection, lacking) if lacking else {})
    has_same_model = background.compared_version == model.version
    limits = None if background.limits is None else AlarmLimits.from_document(background.limits)
    return Known(night, model, counts, nights, limits, effect, same_day, first, has_same_model)


def limits_for(known: Known) -> AlarmLimits:
    """Return the limits of the sequential rule; replaced if the history has doubled or the book's size has changed."""
    counted = known.counts[known.night.id]
    quiet, n_current = known.quiet, max(1, sum(counted["points"].values()))
    if known.limits is not None and not are_outdated(known.limits, nights=len(quiet), n_current=n_current):
        return known.limits
    policy = known.night.definition.monitoring
    return set_limits(
        quiet,
        n_reference=max(1, sum(known.reference.counts["points"].values())),
        n_current=n_current,
        bins=_PSI_BINS,
        watch_psi=policy.watch_psi,
        quiet_years=policy.quiet_years,
    )


def examine(known: Known, limits: AlarmLimits, settled: Collection[str] = ()) -> Examination:
    """Return verdict and figures; without comparable scores the verdict says so instead of guessing.

    `settled` is what a person decided to be honest on an earlier night of the model.
    """
    scale, before = known.night.definition.score, known.night.compared_job_id
    if scale != known.model.definition.score:
        note = "the score scale changed since the model was trained"
        return Examination(Verdict.INSUFFICIENT, {"note": note, "reasons": [note]})
    evidence = NightEvidence(
        job_id=known.night.id,
        counts=known.counts[known.night.id],
        reference=known.reference,
        scale=scale,
        limits=limits,
        history=known.series,
        previous=None if before is None else PreviousNight(before, known.counts[before], known.has_same_model),
        effect=known.effect,
        same_day=None if known.same_day is None else _calendar_reference(known),
        settled=settled,
        event_tables=tuple(one.name for one in known.night.definition.events),
    )
    return examine_night(evidence, known.night.definition.monitoring)


def report_of(known: Known, examination: Examination) -> DriftReport:
    """Return the row that is stored."""
    series = examination.series
    return DriftReport(
        portfolio=known.night.portfolio,
        job_id=known.night.id,
        model_version=known.model.version,
        verdict=examination.verdict,
        figures=examination.figures,
        psi_corrected=None if series is None else series.psi_corrected,
        shift=None if series is None else series.shift,
        calendar=known.effect,
    )


def _calendar_reference(known: Known) -> Reference:
    assert known.same_day is not None, "read only if there is one"
    return Reference("calendar", known.counts[known.same_day], known.same_day)


def _figures_of(night: Night) -> NightFigures:
    assert night.psi_corrected is not None, "nights without figures are not part of the series"
    return NightFigures(night.job_id, night.psi_corrected, night.shift or 0.0)
