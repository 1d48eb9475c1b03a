"""Registers the challengers of a retraining: versions, decisions, promotion, who stays in the race, the job's end."""

from dataclasses import dataclass
from logging import getLogger
from typing import Any

import numpy as np

from db.connections.engine import Connection, Engine, writing
from db.ledger.job_closing import complete_whole_job
from db.ledger.shard_leases import Claim
from db.registry.champions import Champion, Decision, decide
from db.registry.versions import register_model
from db.retraining.retraining_state import change_retraining, find_challengers, lock_retraining, mark_judged
from transformer.bundles.trained_model import TrainedModel
from worker.gate.decisions import GATE, decision_of, held_back
from worker.gate.judgement import Judgement
from worker.gate.preference import MOST_IN_RACE, REFIT
from worker.learning.lesson_plan import TrainingPlan
from worker.learning.readable_records import Records

logger = getLogger(__name__)


@dataclass(frozen=True)
class Challenger:
    """A saved challenger, and the gate's judgement."""

    name: str
    version: str
    model: TrainedModel
    reference: dict[str, Any]
    judgement: Judgement


def register_challengers(  # noqa: PLR0913 - by name
    engine: Engine,
    claim: Claim,
    champion_before: Champion,
    *,
    challengers: list[Challenger],
    records: Records,
    plan: TrainingPlan,
    failed: dict[str, str],
) -> None:
    """Versions, decisions, promotion, the trigger's state and the job's end: one transaction."""
    definition = claim.job.definition
    every = np.arange(len(records.keys))
    known = records.labels.newest(every)
    with writing(engine) as connection:
        state = lock_retraining(connection, definition.name)
        winner, judgement, is_promoted = challengers[0], challengers[0].judgement, False
        for one in challengers:
            rows = every if one.name == REFIT else np.concatenate([plan.learn, plan.stop])
            register_model(
                connection,
                version=one.version,
                job_id=claim.job.id,
                definition=definition,
                metrics=one.model.metrics,
                reference=one.reference,
                parent_version=champion_before.version,
                learned_until=records.labels.newest(rows),
                learned_records=len(every) - (0 if one.name == REFIT else len(plan.judging)),
            )
            judged = held_back(one.judgement) if state.is_held else one.judgement
            decision = decision_of(claim, one.version, champion_before, judged, is_first=one is winner, made=one.name)
            if decide(connection, decision, champion_before=champion_before):
                judgement, is_promoted = judged, True
            if judged.figures.get("checks"):
                mark_judged(connection, one.version, outcome_id=known.outcome_id, shadow_nights=0)
        changes: dict[str, Any] = {
            "tried_outcome_id": known.outcome_id,
            "tried_as_of": known.as_of,
            "tried_records": len(every),
        }
        change_retraining(connection, definition.name, **changes)
        clear_race(connection, claim, champion_before, is_promoted=is_promoted)
        result = _describe(challengers, winner, failed) | {"promoted": is_promoted, "reason": judgement.reason}
        complete_whole_job(connection, claim, result=result, model_version=winner.version)
    log = (claim.job.id, winner.version, judgement.outcome, judgement.reason)
    logger.info("Retrained: job %d, version %s, %s: %s.", *log)


def clear_race(connection: Connection, claim: Claim, champion_before: Champion, *, is_promoted: bool) -> None:
    """Refuse the challengers that have lost their place: all after a promotion, else all but the newest two."""
    waiting = find_challengers(connection, claim.job.portfolio)
    why = "another challenger was promoted" if is_promoted else f"{MOST_IN_RACE} newer challengers are in the race"
    for one in waiting if is_promoted else waiting[MOST_IN_RACE:]:
        decision = Decision(
            portfolio=claim.job.portfolio,
            version=one.version,
            against_version=champion_before.version,
            promoted=False,
            reason=why,
            figures={"job": claim.job.id},
            decided_by=GATE,
            job_id=None,
        )
        decide(connection, decision, champion_before=champion_before)


def _describe(challengers: list[Challenger], winner: Challenger, failed: dict[str, str]) -> dict[str, Any]:
    """Return what the job keeps of its models besides the decisions."""
    named = {one.name: {"version": one.version, "outcome": one.judgement.outcome} for one in challengers}
    made: dict[str, Any] = {"metrics": winner.model.metrics, "counts": winner.model.counts, "challengers": named}
    return made | ({"not_made": failed} if failed else {})
