"""Removes personal records from a stored bundle: a new version with the same scores; the old files are deleted last."""

from logging import getLogger

from db.connections.engine import writing
from db.ledger.job_closing import complete_whole_job
from db.ledger.shard_leases import Claim
from db.registry.replacement import replace_version
from db.registry.versions import get_model
from transformer.bundles.manifest import MANIFEST
from transformer.bundles.store import remove_bundle
from transformer.training.scrubbing import scrub_bundle
from worker.learning.held_out_keys import held_out_secret
from worker.runtime.context import WorkerContext

logger = getLogger(__name__)


def scrub_claimed(context: WorkerContext, claim: Claim) -> None:
    """Scrub the job's version: new bundle, then registry, then the old files. Can be repeated after a crash."""
    url, old = context.settings.bundles_url, str(claim.job.options["version"])
    new = get_model(context.engine, old).replaced_by
    if new is None:
        new = scrub_bundle(url, old, secret=held_out_secret(context, claim.job.portfolio))
        with writing(context.engine) as connection:
            replace_version(connection, old, new, who=claim.job.requested_by, job_id=claim.job.id)
    remove_bundle(url, old, first=MANIFEST)
    with writing(context.engine) as connection:
        complete_whole_job(connection, claim, result={"version": old, "replaced_by": new})
    logger.info("Bundle scrubbed: job %d, version %s is now %s.", claim.job.id, old, new)
