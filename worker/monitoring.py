"""Compares the scores of a finished job with the reference of its model. Costs O(bins), reads no score."""

from logging import getLogger
from typing import Any

from db.closing import complete_whole_job
from db.drift_reports import DriftReport, insert_report, read_histograms
from db.engine import writing
from db.outcomes import VINTAGES_TASK
from db.registry import ModelVersion, get_model
from db.shards import Claim
from db.states import Verdict
from worker.context import WorkerContext, claimed_shard
from worker.drift import Histogram, compare, judge, merge
from worker.messages import MONITORING_QUEUE
from worker.trigger import follow_up

logger = getLogger(__name__)


def monitor_next_job(context: WorkerContext, hint: int | None = None) -> bool:
    """Monitor the hinted job, or the oldest that waits; return whether there was one."""
    with claimed_shard(context, MONITORING_QUEUE, hint) as claim:
        if claim is not None and claim.job.options.get("task") == VINTAGES_TASK:
            from worker.vintages import measure_vintages_claimed  # noqa: PLC0415 - a night needs no scikit-learn

            measure_vintages_claimed(context, claim)
        elif claim is not None:
            _monitor_claimed(context, claim)
    return claim is not None


def _monitor_claimed(context: WorkerContext, claim: Claim) -> None:
    job = claim.job
    assert job.subject_job_id is not None, "a monitoring job names the job it is about"
    assert job.model_version is not None, "and the model that scored it"
    model = get_model(context.engine, job.model_version)
    current = merge(
        Histogram({int(value): count for value, count in one.points.items()}, one.unscorable)
        for one in read_histograms(context.engine, job.subject_job_id)
    )
    verdict, figures = examine(model, current, same_scale=job.definition.score == model.definition.score)
    report = DriftReport(job.portfolio, job.subject_job_id, model.version, verdict, figures)
    with writing(context.engine) as connection:
        if insert_report(connection, report):
            follow_up(connection, job, report)
        complete_whole_job(connection, claim, result={"verdict": verdict, "subject_job": job.subject_job_id})
    logger.info("Job monitored: job %d, model %s, verdict %s.", job.subject_job_id, model.version, verdict)


def examine(model: ModelVersion, current: Histogram, *, same_scale: bool) -> tuple[Verdict, dict[str, Any]]:
    """Return verdict and figures; without comparable scores the verdict says so instead of guessing."""
    reference = Histogram.from_document(model.reference)
    if not same_scale:
        return Verdict.INSUFFICIENT, {"note": "the score scale changed since the model was trained"}
    if reference.count == 0 or current.count == 0:
        return Verdict.INSUFFICIENT, {"note": "no scores to compare"}
    figures = compare(reference, current)
    return judge(figures), figures.to_document()
