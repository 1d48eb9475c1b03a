"""Watches a champion: compares it with the previous one on outcomes that arrived since."""

from dataclasses import replace
from logging import getLogger
from typing import Any

import numpy as np

from db.connections.engine import writing
from db.events.wording import counted
from db.ledger.job_closing import complete_whole_job
from db.ledger.job_lifecycle import JobRequest, insert_job
from db.ledger.shard_leases import Claim
from db.registry.champions import find_champion, get_champion
from db.registry.versions import get_model
from db.retraining.promotion import roll_back_within
from db.retraining.retraining_state import change_retraining, lock_retraining
from db.schema.states import JobKind, JobTask
from transformer.evaluation.paired_differences import compare_brier
from worker.gate.evidence import Measured
from worker.gate.looks import SHARPEST, always_valid_reach
from worker.learning.lesson_plan import NO_ROWS, TrainingPlan
from worker.learning.readable_records import parts_of, read_records
from worker.runtime.bundle_reading import load_stored
from worker.runtime.context import WorkerContext

logger = getLogger(__name__)


def watch_champion_claimed(context: WorkerContext, claim: Claim) -> None:
    """Compare champion and predecessor on later outcomes; roll back a champion that is proven worse."""
    definition, heartbeat, options = claim.job.definition, context.heartbeat(claim), claim.job.options
    champion_before = get_champion(context.engine, definition.name)
    if champion_before is None or champion_before.version != options["version"]:
        with writing(context.engine) as connection:
            complete_whole_job(
                connection, claim, result={"rolled_back": False, "reason": "another champion has been promoted since"}
            )
        return
    url = context.settings.bundles_url
    champion, before = (load_stored(context.engine, url, one) for one in (champion_before.version, options["before"]))
    model = get_model(context.engine, champion_before.version)
    since = replace(model, learned_outcome_id=options["after_outcome"], learned_as_of=None)
    records = read_records(context, definition, champion, since, heartbeat)
    judging = np.flatnonzero(records.is_new)
    parts = parts_of(records, TrainingPlan(NO_ROWS, NO_ROWS, judging, NO_ROWS, NO_ROWS, "", ""), ())
    measured = Measured(parts, heartbeat)
    gate = definition.retraining.gate
    probabilities = [measured.probabilities(one) for one in (before, champion)]
    loss = compare_brier(parts.target, *probabilities, confidence=gate.confidence)
    # It is watched again and again: the interval must hold at all looks together.
    loss = loss.reaching(always_valid_reach(parts.target.sum() / (SHARPEST * gate.least_bad), 1 - gate.confidence))
    figures = {"brier": loss.to_document(), "outcomes": len(judging), "job": claim.job.id}
    comparison = f"Brier score {loss.challenger:.4f} against {loss.champion:.4f} of {options['before']}"
    why = f"{comparison} on {counted(len(judging), 'outcome')} since"
    newest = records.labels.newest(np.arange(len(records.keys))).outcome_id
    with writing(context.engine) as connection:
        state = lock_retraining(connection, definition.name)
        changes: dict[str, Any] = {"watched_outcome_id": newest}
        is_worse = loss.low > 0 and find_champion(connection, definition.name) == champion_before
        if is_worse:
            roll_back_within(connection, definition.name, who="watch", why=why, figures=figures)
            changes["failures"] = state.failures + 1
        change_retraining(connection, definition.name, **changes)
        insert_job(connection, JobRequest(JobKind.MONITORING, definition.name, "watch", {}, task=JobTask.VINTAGES))
        complete_whole_job(connection, claim, result={"rolled_back": is_worse, "reason": why} | figures)
    logger.info(
        "Champion watched: job %d, version %s, rolled back %s: %s.",
        claim.job.id,
        champion_before.version,
        is_worse,
        why,
    )
