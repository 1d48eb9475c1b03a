"""The next job of the monitoring queue, by its task."""

from db.ledger.shard_leases import Claim
from db.schema.states import JobTask
from worker.contract.messages import MONITORING_QUEUE
from worker.monitoring.night_job import monitor_claimed
from worker.runtime.context import WorkerContext, claimed_shard


def monitor_next_job(context: WorkerContext, hint: int | None = None) -> bool:
    """Carry out the hinted job, or the oldest that waits; return whether there was one."""
    with claimed_shard(context, MONITORING_QUEUE, hint) as claim:
        if claim is not None:
            _carry_out(context, claim)
    return claim is not None


def _carry_out(context: WorkerContext, claim: Claim) -> None:
    """A night needs neither scikit-learn nor TensorFlow: the others import what they need when they come."""
    task = claim.job.task
    if task is JobTask.VINTAGES:
        from worker.monitoring.vintage_job import measure_vintages_claimed as carry_out  # noqa: PLC0415
    elif task is JobTask.COMPARISON:
        from worker.monitoring.comparison_job import compare_claimed as carry_out  # noqa: PLC0415
    elif task is JobTask.SCRUB:
        from worker.monitoring.scrub_job import scrub_claimed as carry_out  # noqa: PLC0415
    else:
        carry_out = monitor_claimed
    carry_out(context, claim)
