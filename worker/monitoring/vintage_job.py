"""Measures the vintages again after outcomes were loaded, and notifies the trigger."""

from logging import getLogger

from db.connections.engine import writing
from db.events.wording import counted
from db.ledger.job_closing import complete_whole_job
from db.ledger.shard_leases import Claim
from db.retraining.vintages import Vintage, list_grown_vintages, read_judged_scores, save_vintage
from transformer.evaluation.figures import evaluate
from worker.monitoring.retraining_trigger import follow_outcomes
from worker.runtime.context import WorkerContext

logger = getLogger(__name__)


def measure_vintages_claimed(context: WorkerContext, claim: Claim) -> None:
    """Measure every scoring job whose known outcomes have changed; repeating it changes nothing."""
    definition, heartbeat = claim.job.definition, context.heartbeat(claim)
    measured: list[Vintage] = []
    for job_id, version in list_grown_vintages(context.engine, definition.name):
        probability, outcome = read_judged_scores(context.engine, job_id)
        figures = evaluate(outcome, probability) | {"expected_bad_rate": float(probability.mean())}
        measured.append(Vintage(job_id, definition.name, version, len(outcome), int(outcome.sum()), figures))
        heartbeat()
    with writing(context.engine) as connection:
        for vintage in measured:
            save_vintage(connection, vintage)
        asked = follow_outcomes(connection, definition)
        result = {"vintages": [one.job_id for one in measured], "asked_for_job": asked}
        complete_whole_job(connection, claim, result=result)
    logger.info("Vintages measured: portfolio %s, %s.", definition.name, counted(len(measured), "job"))
