"""Compares two model versions on records that neither was trained on, as stored in their bundles."""

from logging import getLogger
from typing import Any

from db.connections.engine import writing
from db.events.wording import counted
from db.ledger.job_closing import complete_whole_job
from db.ledger.shard_leases import Claim
from transformer.bundles.held_out_scores import HeldOutScores, match_records
from transformer.evaluation.intervals import compare_with_intervals, evaluate_with_intervals
from worker.learning.held_out_keys import comparable, held_out_secret
from worker.runtime.bundle_reading import read_stored
from worker.runtime.context import WorkerContext

logger = getLogger(__name__)

LEAST_RECORDS = 30


def compare_claimed(context: WorkerContext, claim: Claim) -> None:
    """Compare the job's two versions and finish the job with the figures. Raises `BundleError`."""
    first, second = claim.job.options["versions"]
    secret = held_out_secret(context, claim.job.portfolio)
    document = compare_versions(context, first, second, secret=secret)
    with writing(context.engine) as connection:
        complete_whole_job(connection, claim, result=document)
    logger.info(
        "Models compared: job %d, %s and %s, %s.", claim.job.id, first, second, counted(document["records"], "record")
    )


def compare_versions(context: WorkerContext, first: str, second: str, *, secret: bytes) -> dict[str, Any]:
    """Return the figures of both, and the difference second - first with its paired 95 % interval, by figure.

    `figures` is empty where fewer than 30 records, or one outcome alone, were held out by both.
    """
    engine, url = context.engine, context.settings.bundles_url
    scores = (comparable(one, read_stored(engine, url, one, HeldOutScores.load), secret) for one in (first, second))
    target, before, after = match_records(*scores)
    document: dict[str, Any] = {"first": first, "second": second, "records": len(target), "figures": {}}
    if len(target) < LEAST_RECORDS or not 0 < target.sum() < len(target):
        return document
    figures = [evaluate_with_intervals(target, one) for one in (before, after)]
    differences = compare_with_intervals(target, before, after)
    document["bad_rate"] = float(target.mean())
    document["figures"] = {
        name: {
            "first": figures[0][name].to_document(),
            "second": figures[1][name].to_document(),
            "difference": differences[name].to_document() if name in differences else None,
        }
        for name in figures[0]
    }
    return document
