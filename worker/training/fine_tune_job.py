"""Fine-tunes the champion on new outcomes and lets the gate judge two challengers: the tuned model and a recalibration.

read         worker.learning.outcome_labels    the labelled records, which of them are new, which came last
make         transformer.training.fine_tuning  two challengers, each saved as a bundle before anything names it
judge        worker.gate.judgement              one judgement each, by outcomes later than all that was learned from
register     db.registry.versions              versions, decisions, promotion and the job's end: one transaction
"""

from dataclasses import dataclass, replace
from logging import getLogger
from typing import Any

import keras
import numpy as np
import pandas as pd

from db.connections.engine import writing
from db.ledger.job_closing import complete_whole_job
from db.ledger.shard_leases import Claim
from db.portfolios.definition import PortfolioDefinition
from db.registry.champions import Champion, decide, get_champion
from db.registry.versions import get_model, register_model
from db.retraining.retraining_state import change_retraining, lock_retraining
from db.schema.states import JobTask
from db.sources.source_table import read_all
from transformer.bundles.bundle import LoadedModel, save_bundle
from transformer.bundles.trained_model import TrainedModel
from transformer.errors import TrainingDataError
from transformer.evaluation.paired_differences import compare_brier
from transformer.fitting.continued_pretraining import continue_pretraining
from transformer.reasons.explainer import Explainer
from transformer.records.splitting import hash_order
from transformer.training.fine_tuning import (
    FineTuningOptions,
    Lesson,
    fine_tune,
    inputs_of,
    recalibrate,
    unreadable_rows,
)
from transformer.training.reason_fitting import ExplanationOptions, fit_explainer
from worker.gate.decisions import decision_of, held_back
from worker.gate.evidence import Measured, Parts, count_canary_mismatches, gather_evidence
from worker.gate.judgement import Judgement, Outcome, judge_challenger
from worker.learning.book_reading import sample_lowest
from worker.learning.held_out_keys import held_out_secret
from worker.learning.lesson_plan import TrainingPlan, plan_training, plan_training_without_outcomes
from worker.learning.readable_records import Records, parts_of, read_records
from worker.runtime.bundle_reading import load_stored
from worker.runtime.context import WorkerContext
from worker.runtime.heartbeat import Heartbeat
from worker.runtime.portfolio_mapping import scale_of
from worker.training.challenger_card import describe_challenger, keep_held_out
from worker.training.progress import FINE_TUNING, ProgressBoard, shown
from worker.training.reference_freezing import FrozenReference, freeze_records

logger = getLogger(__name__)

LEAST_LEARNED = 50
MOST_PRETRAINED = 200_000  # records of tonight's book: more teach little for their time
# Its reasons are near the champion's: half the rows and a quarter of the predictions that training takes are enough.
REASONS = ExplanationOptions(most_rows=3_000, predictions=75_000)


@dataclass(frozen=True)
class Offered:
    """A challenger before it is saved. A recalibrated model has the champion's network, and so its reasons."""

    model: TrainedModel
    explainer: Explainer | None
    frozen: FrozenReference
    card: dict[str, bytes]


@dataclass(frozen=True)
class Challenger:
    """A saved challenger, and the gate's judgement."""

    name: str
    version: str
    model: TrainedModel
    reference: dict[str, Any]
    judgement: Judgement


def fine_tune_claimed(context: WorkerContext, claim: Claim) -> None:
    """Carry out one fine-tuning job. Without a champion, or with too little data, the job fails."""
    with shown(context.engine, claim, ProgressBoard(FINE_TUNING)) as board:
        _fine_tune(context, claim, board)


def _fine_tune(context: WorkerContext, claim: Claim, board: ProgressBoard) -> None:
    definition, heartbeat = claim.job.definition, context.heartbeat(claim)
    engine, url = context.engine, context.settings.bundles_url
    champion_before = get_champion(engine, definition.name)
    if champion_before is None:
        raise TrainingDataError(f"the portfolio {definition.name} has no champion to start from", "train one first")
    parent, champion = get_model(engine, champion_before.version), load_stored(engine, url, champion_before.version)
    stable_night = int(claim.job.options.get("after_job") or 0)
    records = read_records(context, definition, champion, parent, heartbeat, after_job=stable_night)
    order, start, name = hash_order(records.groups), champion, "fine_tuned"
    if claim.job.task is JobTask.PRETRAIN:
        start, name = replace(champion, network=_pretrained(context, definition, champion, heartbeat)), "pretrained"
        plan = plan_training_without_outcomes(records.labels.dates, order)
    else:
        plan = plan_training(records.labels.dates, records.is_new, ~records.is_new, order)
    _require_labelled(records, plan)
    lesson = Lesson(*(records.labelled_part(rows) for rows in (plan.learn, plan.stop, plan.replay, plan.judging)))
    heartbeat.renew(board.enter("fitting", records=len(lesson.learn)))
    hooks: dict[str, Any] = {"on_epoch": lambda one: heartbeat.renew(board.after_epoch(one)), "on_batch": heartbeat}
    tuned = fine_tune(start, lesson, options=options_of(claim.job.options), **hooks)
    heartbeat.renew(board.enter("reasons"))
    models = {name: tuned, "recalibrated": recalibrate(champion, lesson)}
    explainers = {name: explain_tuned(tuned, lesson, heartbeat), "recalibrated": champion.explainer}
    newest, secret = lesson.exam if len(lesson.exam) else lesson.stop, held_out_secret(context, definition.name)
    offered: dict[str, Offered] = {}
    for made, model in models.items():
        reasons = explainers[made]
        card = describe_challenger(
            model, lesson, definition, made=made, parent=champion_before.version, explainer=reasons
        )
        card |= keep_held_out(model, lesson, secret=secret)
        offered[made] = Offered(model, reasons, freeze_records(model, newest.frame, definition), card)
    heartbeat.renew(board.enter("gate"))
    challengers = _examine(context, claim, champion, offered, parts_of(records, plan, definition.segments), heartbeat)
    _register(context, claim, champion_before, challengers, records, plan)


def _pretrained(
    context: WorkerContext, definition: PortfolioDefinition, champion: LoadedModel, heartbeat: Heartbeat
) -> keras.Model:
    """Pretrain the champion's network further on tonight's book, whose outcomes are not yet known."""
    columns = champion.schema.columns
    book = read_all(context.engine, definition.records, definition.key, columns)
    frame = pd.concat(sample_lowest(book, MOST_PRETRAINED), ignore_index=True)
    frame = frame.drop(index=unreadable_rows(champion, frame).tolist()).reset_index(drop=True)
    heartbeat.renew()
    return continue_pretraining(champion, inputs_of(champion, frame), on_batch=heartbeat)


def explain_tuned(model: TrainedModel, lesson: Lesson, heartbeat: Heartbeat) -> Explainer:
    """Fit the reasons of a tuned network on its training records."""
    learned = (lesson.learn, lesson.replay)
    frame = pd.concat([part.frame for part in learned], ignore_index=True)
    target = np.concatenate([part.target for part in learned])
    heartbeat.renew()
    return fit_explainer(model, frame, target, options=REASONS, on_batch=heartbeat)


def options_of(options: dict[str, Any]) -> FineTuningOptions:
    """Return the options of a job: those that a user may set, with defaults for the rest."""
    allowed = {name: options[name] for name in ("seed", "epochs") if options.get(name) is not None}
    return FineTuningOptions(**allowed)


def _require_labelled(records: Records, plan: TrainingPlan) -> None:
    target = records.labels.target
    for name, rows in (("learn from", plan.learn), ("stop by", plan.stop)):
        bad = int((target[rows] == 1).sum())
        if len(rows) < LEAST_LEARNED or not 0 < bad < len(rows):
            raise TrainingDataError(
                f"expected {LEAST_LEARNED} new outcomes or more, of both kinds, to {name}; got {len(rows)}, {bad} bad",
                "load more: tidemark outcomes load NAME FILE",
            )


def _examine(
    context: WorkerContext,
    claim: Claim,
    champion: LoadedModel,
    offered: dict[str, Offered],
    parts: Parts,
    heartbeat: Heartbeat,
) -> list[Challenger]:
    """Save every challenger, then judge it: a version is a bundle before it is a row."""
    definition, policy = claim.job.definition, claim.job.definition.retraining
    measured, scale = Measured(parts, heartbeat), scale_of(definition)
    challengers: list[Challenger] = []
    for name, one in offered.items():
        model = one.model
        notes = {"portfolio": definition.name, "definition": definition.fingerprint, "made": name}
        url = context.settings.bundles_url
        kept: dict[str, Any] = {"explainer": one.explainer, "extras": one.card, "reference": one.frozen.bundled}
        version = save_bundle(model, url, notes=notes, **kept)
        probabilities = measured.probabilities(model)
        evidence = gather_evidence(
            parts,
            measured,
            champion,
            model,
            scale,
            canary_mismatches=count_canary_mismatches(url, version, parts, probabilities),
            cut_off=policy.cut_off,
            shadow_nights_wanted=policy.shadow_nights,
        )
        judgement = judge_challenger(evidence, policy.gate)
        challengers.append(Challenger(name, version, model, one.frozen.counts, judgement))
    return prefer_one(challengers, parts, measured, policy.gate.confidence)


def prefer_one(challengers: list[Challenger], parts: Parts, measured: Measured, confidence: float) -> list[Challenger]:
    """Keep one of two that passed: the tuned model only if it is proven better than the recalibration."""
    passed = [one for one in challengers if one.judgement.outcome is not Outcome.REFUSE]
    if len(passed) < 2:
        return challengers
    tuned, control = passed
    if len(parts.judging):
        judging = [measured.probabilities(one.model)[parts.judging] for one in (control, tuned)]
        gain = compare_brier(parts.target[parts.judging], judging[0], judging[1], confidence=confidence)
        is_better, figures = gain.high < 0, gain.to_document()
    else:
        is_better, figures = True, {}
    winner, other = (tuned, control) if is_better else (control, tuned)
    why = f"the {winner.name.replace('_', ' ')} model is preferred"
    figures = other.judgement.figures | {"preferred": winner.version, "brier": figures}
    refused = Judgement(promoted=False, reason=why, figures=figures)
    return [winner, replace(other, judgement=refused)]


def _register(
    context: WorkerContext,
    claim: Claim,
    champion_before: Champion,
    challengers: list[Challenger],
    records: Records,
    plan: TrainingPlan,
) -> None:
    """Versions, decisions, promotion, the trigger's state and the job's end: one transaction."""
    definition = claim.job.definition
    learned = records.labels.newest(np.concatenate([plan.learn, plan.stop]))
    tried = records.labels.newest(np.arange(len(records.keys)))
    with writing(context.engine) as connection:
        state = lock_retraining(connection, definition.name)
        for one in challengers:
            register_model(
                connection,
                version=one.version,
                job_id=claim.job.id,
                definition=definition,
                metrics=one.model.metrics,
                reference=one.reference,
                parent_version=champion_before.version,
                learned_until=learned,
            )
        winner, judgement, is_promoted = challengers[0], challengers[0].judgement, False
        for one in challengers:
            judged = held_back(one.judgement) if state.is_held else one.judgement
            decision = decision_of(claim, one.version, champion_before, judged, is_first=one is winner, made=one.name)
            if decide(connection, decision, champion_before=champion_before):
                winner, judgement, is_promoted = one, judged, True
        changes: dict[str, Any] = {"tried_outcome_id": tried.outcome_id, "tried_as_of": tried.as_of}
        if is_promoted:  # later outcomes have proven that learning helps
            changes["failures"] = 0
        change_retraining(connection, definition.name, **changes)
        result = _told(challengers, winner) | {"promoted": is_promoted, "reason": judgement.reason}
        complete_whole_job(connection, claim, result=result, model_version=winner.version)
    outcome, why = judgement.outcome, judgement.reason
    logger.info("Fine-tuned: job %d, version %s, %s: %s.", claim.job.id, winner.version, outcome, why)


def _told(challengers: list[Challenger], winner: Challenger) -> dict[str, Any]:
    """What the job keeps of its models beside the decision."""
    named = {one.name: {"version": one.version, "outcome": one.judgement.outcome} for one in challengers}
    return {"metrics": winner.model.metrics, "counts": winner.model.counts, "challengers": named}
