"""Measures the vintages again after outcomes were loaded, judges whether they can be true, and notifies the trigger."""

from logging import getLogger
from typing import Any

from db.connections.engine import Engine, reading, writing
from db.events.wording import counted
from db.ledger.job_closing import complete_whole_job
from db.ledger.shard_leases import Claim
from db.portfolios.definition import PortfolioDefinition
from db.retraining.repeated_outcomes import EARLIER_NIGHTS, find_overlaps
from db.retraining.retraining_state import lock_retraining
from db.retraining.vintages import (
    CENSORED,
    MEASURED,
    KnownOutcomes,
    Vintage,
    find_main_load,
    find_vintages,
    list_changed_nights,
    read_judged_scores,
)
from transformer.evaluation.figures import evaluate
from worker.gate.outcome_trust import measure_evidence
from worker.monitoring.outcome_fields import odd_parts_of
from worker.monitoring.outcome_verdicts import judge_nights
from worker.monitoring.retraining_trigger import follow_outcomes
from worker.monitoring.vintage_judge import MeasuredNight
from worker.runtime.context import WorkerContext

logger = getLogger(__name__)


def measure_vintages_claimed(context: WorkerContext, claim: Claim) -> None:
    """Measure every scoring job whose known outcomes have changed; repeating it changes nothing."""
    definition, heartbeat = claim.job.definition, context.heartbeat(claim)
    measured: list[MeasuredNight] = []
    changed = list_changed_nights(context.engine, definition)
    with reading(context.engine) as connection:
        jobs = {*find_vintages(connection, definition.name), *(one.job_id for one in changed)}
    for known in changed:
        earlier = sorted(one for one in jobs if one < known.job_id)[-EARLIER_NIGHTS:]
        found = measure_night(context.engine, definition, known, earlier)
        measured += [] if found is None else [found]
        heartbeat()
    with writing(context.engine) as connection:
        lock_retraining(connection, definition.name)
        distrusted = judge_nights(connection, definition, measured)
        asked = follow_outcomes(connection, definition)
        result: dict[str, Any] = {"vintages": [one.vintage.job_id for one in measured], "asked_for_job": asked}
        complete_whole_job(connection, claim, result=result | ({"distrusted": distrusted} if distrusted else {}))
    logger.info("Vintages measured: portfolio %s, %s.", definition.name, counted(len(measured), "job"))


def measure_night(
    engine: Engine, definition: PortfolioDefinition, known: KnownOutcomes, earlier: list[int]
) -> MeasuredNight | None:
    """Compare the outcomes of a scoring job with its scores; None if no score is left.

    Outcomes that are not final are only counted: the bad ones come first, and would make every young night look bad.
    """
    judged = read_judged_scores(engine, known.job_id)
    probability, outcome = judged.probability, judged.outcome
    if not len(outcome):
        return None
    own = (known.job_id, definition.name, known.model_version)
    figures: dict[str, Any] = {"expected_bad_rate": float(probability.mean()), MEASURED: known.to_document()}
    if not known.is_mature:
        return MeasuredNight(Vintage(*own, 0, 0, figures | {CENSORED: len(outcome)}))
    odd_parts = odd_parts_of(engine, definition, known.job_id, judged)
    evidence = measure_evidence(probability, outcome, odd_parts=odd_parts)
    figures |= evaluate(outcome, probability) | {"expected_roc_auc": evidence.expected_auc, CENSORED: 0}
    with reading(engine) as connection:
        overlaps = tuple(find_overlaps(connection, definition.name, known.job_id, earlier))
        file = find_main_load(connection, known.job_id)
    vintage = Vintage(*own, len(outcome), int(outcome.sum()), figures)
    return MeasuredNight(vintage, evidence, overlaps, file)
