"""Makes challengers to the champion from new outcomes, and lets the gate judge them on the same records.

read         worker.learning.readable_records       the labelled records, which of them are new, which came last
make         worker.training.challenger_fitting     refit, fine-tuning, recalibration, each within its time
judge        worker.gate.judgement                  one judgement each, by outcomes later than all that was learned from
register     worker.training.challenger_registration  versions, decisions, promotion and the job's end: one transaction
"""

from dataclasses import replace
from logging import getLogger
from typing import Any

from db.ledger.shard_leases import Claim
from db.registry.champions import get_champion
from db.registry.versions import get_model
from db.schema.states import JobTask
from transformer.bundles.bundle import save_bundle
from transformer.errors import TrainingDataError
from transformer.records.splitting import hash_order
from worker.gate.evidence import Measured, Parts, count_canary_mismatches, gather_evidence
from worker.gate.judgement import judge_challenger
from worker.gate.preference import (
    FINE_TUNED,
    PRETRAINED,
    RECALIBRATED,
    REFIT,
    Floats,
    Judged,
    is_worth_making,
    prefer_one,
)
from worker.learning.lesson_plan import TrainingPlan, plan_training, plan_training_without_outcomes
from worker.learning.readable_records import Records, describe_population, parts_of, read_records
from worker.runtime.bundle_reading import load_stored
from worker.runtime.context import WorkerContext
from worker.runtime.portfolio_mapping import scale_of
from worker.training.challenger_fitting import Bench, Offered, make_challenger
from worker.training.challenger_registration import Challenger, register_challengers
from worker.training.progress import FINE_TUNING, ProgressBoard, shown

logger = getLogger(__name__)

WANTED = "challengers"  # option of a job: which ones to make
USUAL = {JobTask.FINE_TUNE: (REFIT, FINE_TUNED, RECALIBRATED), JobTask.PRETRAIN: (PRETRAINED, RECALIBRATED)}


def retrain_claimed(context: WorkerContext, claim: Claim) -> None:
    """Carry out one retraining. Without a champion, or with too little data, the job fails."""
    with shown(context.engine, claim, ProgressBoard(FINE_TUNING)) as board:
        _retrain(context, claim, board)


def _retrain(context: WorkerContext, claim: Claim, board: ProgressBoard) -> None:
    definition, heartbeat = claim.job.definition, context.heartbeat(claim)
    engine, url = context.engine, context.settings.bundles_url
    champion_before = get_champion(engine, definition.name)
    if champion_before is None:
        raise TrainingDataError(f"the portfolio {definition.name} has no champion to start from", "train one first")
    parent, champion = get_model(engine, champion_before.version), load_stored(engine, url, champion_before.version)
    after_job = int(claim.job.options.get("after_job") or 0)
    wanted = tuple(claim.job.options.get(WANTED) or USUAL[claim.job.task])
    records = read_records(
        context, definition, champion, parent, heartbeat, after_job=after_job, with_own=REFIT in wanted
    )
    plan = _plan(records, claim.job.task)
    bench = Bench(context, claim, champion, champion_before.version, records, plan, heartbeat, board)
    challengers, failed = _compete(bench, wanted, parts_of(records, plan, definition.segments))
    register_challengers(
        engine, claim, champion_before, challengers=challengers, records=records, plan=plan, failed=failed
    )


def _plan(records: Records, task: JobTask) -> TrainingPlan:
    order = hash_order(records.groups)
    if task is JobTask.PRETRAIN:
        return plan_training_without_outcomes(records.labels.dates, order)
    return plan_training(records.labels.dates, records.is_new, ~records.is_new, order)


def _compete(bench: Bench, wanted: tuple[str, ...], parts: Parts) -> tuple[list[Challenger], dict[str, str]]:
    """Make and judge the challengers, the preferred one first, and tell why the others could not be made.

    What is not worth its training after the refit is left out. Raises `TrainingDataError` if none could be made.
    """
    measured, seen = Measured(parts, bench.heartbeat), dict[str, Floats]()
    challengers: dict[str, Challenger] = {}
    failed: dict[str, str] = {}
    for name in wanted:
        if not is_worth_making(name, {one: made.judgement.outcome for one, made in challengers.items()}):
            continue
        try:
            offered = make_challenger(bench, name)
        except TrainingDataError as problem:
            failed[name] = str(problem)
            logger.warning("Challenger not made: job %d, %s: %s", bench.claim.job.id, name, problem)
            if name == wanted[-1] and not challengers:
                raise
            continue
        bench.heartbeat.renew(bench.board.enter("gate"))
        challengers[name], seen[name] = _examine(bench, name, offered, parts, measured)
    judged = [Judged(name, one.version, one.judgement) for name, one in challengers.items()]
    confidence = bench.definition.retraining.gate.confidence
    preferred = prefer_one(judged, parts.target[parts.judging], seen, confidence)
    return [replace(challengers[one.name], judgement=one.judgement) for one in preferred], failed


def _examine(bench: Bench, name: str, one: Offered, parts: Parts, measured: Measured) -> tuple[Challenger, Floats]:
    """Save a challenger, then judge it: a version is a bundle before it is a row. Also return its probabilities."""
    definition, policy = bench.definition, bench.definition.retraining
    url = bench.context.settings.bundles_url
    notes = {"portfolio": definition.name, "definition": definition.fingerprint, "made": name}
    kept: dict[str, Any] = {"explainer": one.explainer, "extras": one.card, "reference": one.frozen.bundled}
    version = save_bundle(one.model, url, notes=notes, **kept)
    evidence = gather_evidence(
        parts,
        measured,
        bench.champion,
        one.model,
        scale_of(definition),
        judged=one.judged,
        canary_mismatches=count_canary_mismatches(url, version, parts, measured.probabilities(one.model)),
        cut_off=policy.cut_off,
        shadow_nights_wanted=policy.shadow_nights,
        is_refit=name == REFIT,
        population=describe_population(bench.context.engine, definition.name, bench.records, bench.plan.judging),
    )
    judgement = judge_challenger(evidence, policy.gate)
    return Challenger(name, version, one.model, one.frozen.counts, judgement), evidence.judging.challenger
