"""Trains a model for a portfolio: read the labelled book, fit, save the bundle, pass the gate."""

import math
from dataclasses import dataclass
from logging import getLogger
from typing import Any

import numpy as np

from db.connections.engine import Connection, writing
from db.ledger.job_closing import complete_whole_job
from db.ledger.job_lifecycle import JobRequest, insert_job
from db.ledger.shard_leases import Claim
from db.registry.champions import Champion, Decision, decide, get_champion
from db.registry.versions import LearnedUntil, get_model, register_model
from db.retraining.promotion import REFUSED_FOR, SUSPICIOUS
from db.schema.states import JobKind, NetworkSize
from transformer.bundles.bundle import save_bundle
from transformer.bundles.trained_model import TrainedModel
from transformer.errors import TrainingDataError, TransformerError
from transformer.evaluation.figures import evaluate
from transformer.network.architecture import NetworkOptions
from transformer.records.labelled_book import Book
from transformer.records.schema import RecordSchema
from transformer.scoring.scorer import Scorer
from transformer.training.cross_validation import cross_validate, cut_book
from transformer.training.model_training import Start, TrainingOptions, train_model
from worker.gate.candidate_judgement import Doubts, judge_candidate
from worker.gate.foreknowledge import Suspicion
from worker.gate.judgement import Judgement
from worker.learning.book_reading import read_book
from worker.learning.held_out_keys import held_out_secret
from worker.records.event_reading import require_events
from worker.runtime.bundle_reading import load_stored
from worker.runtime.context import WorkerContext
from worker.runtime.heartbeat import Heartbeat
from worker.runtime.portfolio_mapping import schema_of
from worker.training.model_description import describe_model
from worker.training.progress import ProgressBoard, shown, training_plan
from worker.training.reference_freezing import freeze, held_out_rows

logger = getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """A saved model: the gate's judgement, the counts of its held-out records, the newest outcome in its training.

    `folds` has the figures of a cross-validation, if one was requested.
    """

    model: TrainedModel
    version: str
    judgement: Judgement
    reference: dict[str, Any]
    learned_until: LearnedUntil
    folds: dict[str, Any] | None


# Small is as good as usual on books with many outcomes, worse where these are few or the fields act together.
_SIZES = {
    NetworkSize.SMALL: NetworkOptions(d_model=16, dff=32),
    NetworkSize.USUAL: NetworkOptions(),
    NetworkSize.LARGE: NetworkOptions(d_model=64, dff=128),
}


def train_claimed(context: WorkerContext, claim: Claim) -> None:
    """Carry out one training job."""
    folds = claim.job.options.get("folds") or 0
    with shown(context.engine, claim, ProgressBoard(training_plan(folds))) as board:
        _train(context, claim, board)


def _train(context: WorkerContext, claim: Claim, board: ProgressBoard) -> None:
    definition, heartbeat = claim.job.definition, context.heartbeat(claim)
    book, labels = read_book(context, definition, heartbeat, most=claim.job.options.get("sample"))
    heartbeat.renew(board.enter("fitting", records=len(book.records)))
    schema = schema_of(definition)
    model = train_model(
        book,
        schema,
        options=options_of(claim.job.options),
        start=start_of(context, claim.job.options, schema),
        on_epoch=lambda report: heartbeat.renew(board.after_epoch(report)),
        on_batch=heartbeat,
    )
    book = book.reading(model.schema)
    folds = _cross_validate(claim, book, model.schema, heartbeat, board)
    heartbeat.renew(board.enter("reasons"))
    is_quick = bool(claim.job.options.get("quick"))
    secret = held_out_secret(context, definition.name)
    described = describe_model(
        model, book, definition, secret=secret, folds=folds, on_batch=heartbeat, is_quick=is_quick
    )
    heartbeat.renew(board.enter("saving"))
    notes = {"portfolio": definition.name, "definition": definition.fingerprint}
    frozen = freeze(model, book, definition)
    version = save_bundle(
        model,
        context.settings.bundles_url,
        notes=notes,
        explainer=described.explainer,
        extras=described.files,
        reference=frozen.bundled,
    )
    heartbeat.renew(board.enter("gate"))
    champion_before = get_champion(context.engine, definition.name)
    judgement = judge_candidate(
        model.metrics,
        _champion_metrics(context, claim, champion_before, model, book, heartbeat),
        held=bool(claim.job.options.get("hold")),
        least_auc=None if described.roc_auc is None else described.roc_auc.low,
        doubts=_doubts_about(context, claim, champion_before, described.suspicions),
    )
    learned = labels.newest(np.flatnonzero(~np.isnan(labels.target)))
    trained = Trained(model, version, judgement, frozen.counts, learned, folds)
    is_promoted = _register(context, claim, trained, champion_before)
    log_fields = (claim.job.id, version, model.metrics.get("roc_auc", math.nan), is_promoted, model.seconds)
    logger.info("Model trained: job %d, version %s, held-out ROC AUC %.4f, promoted %s, %.1f s.", *log_fields)


def options_of(options: dict[str, Any]) -> TrainingOptions:
    """Return the training options of a job: those that a user may set, with defaults for the rest."""
    names = {"seed": "seed", "seeds": "seeds", "epochs": "epochs", "time_limit": "time_limit_minutes"}
    allowed = {ours: options[name] for name, ours in names.items() if options.get(name) is not None}
    network = _SIZES[NetworkSize(options.get("size") or NetworkSize.USUAL)]
    wanted = {"class_weights": bool(options.get("class_weights")), "trees": options.get("trees") is not False}
    return TrainingOptions(**allowed, **wanted, quick=bool(options.get("quick")), network=network)


def start_of(context: WorkerContext, options: dict[str, Any], schema: RecordSchema) -> Start | None:
    """Return the network that a job starts from. Raises `TrainingDataError` if it reads other columns."""
    version = options.get("from")
    if version is None:
        return None
    parent = load_stored(context.engine, context.settings.bundles_url, version)
    if parent.schema.without_aggregates != schema:
        raise TrainingDataError(
            f"the model {version} reads different columns from those in the portfolio now",
            "train from scratch: leave out --from",
        )
    return Start(parent.network, parent.transform, parent.network_options)


def _cross_validate(
    claim: Claim, book: Book, schema: RecordSchema, heartbeat: Heartbeat, board: ProgressBoard
) -> dict[str, Any] | None:
    count = claim.job.options.get("folds")
    if count is None:
        return None
    heartbeat.renew(board.enter("folds", fold=0, folds=count))
    return cross_validate(
        book,
        schema,
        cut_book(book, count),
        options=options_of(claim.job.options),
        on_fold=lambda done: heartbeat.renew(board.enter("folds", fold=done, folds=count)),
        on_batch=heartbeat,
    )


def _doubts_about(
    context: WorkerContext, claim: Claim, champion_before: Champion | None, suspicions: list[Suspicion]
) -> Doubts | None:
    """Return the new suspicions: a column that the champion also reads is already in use."""
    known = (
        () if champion_before is None else get_model(context.engine, champion_before.version).definition.input_columns
    )
    new = [one for one in suspicions if one.column not in known]
    accepted_by = claim.job.requested_by if claim.job.options.get("accept_suspicious") else None
    return Doubts(new, accepted_by) if new else None


def _champion_metrics(
    context: WorkerContext,
    claim: Claim,
    champion_before: Champion | None,
    model: TrainedModel,
    book: Book,
    heartbeat: Heartbeat,
) -> dict[str, float] | None:
    """Measure the champion on the candidate's held-out records; None without a champion that can still be read."""
    if champion_before is None:
        return None
    rows = held_out_rows(model, book)
    target = book.target[rows]
    try:
        champion = load_stored(context.engine, context.settings.bundles_url, champion_before.version)
        require_events(claim.job.definition, champion.schema)
        frame = book.reading(champion.schema).records.take(rows)
        scored = Scorer(champion, champion_before.version).score(frame, on_batch=heartbeat)
    except TransformerError as error:
        logger.warning("No comparison with the champion %s: %s", champion_before.version, error)
        return None
    return evaluate(target[scored.rows], scored.probabilities)


def _train_in_full(connection: Connection, claim: Claim) -> int:
    """Submit the training that challenges a quick model; return its job."""
    options = {name: value for name, value in claim.job.options.items() if name != "quick"}
    request = JobRequest(JobKind.TRAINING, claim.job.portfolio, claim.job.requested_by, options)
    return insert_job(connection, request)


def _register(
    context: WorkerContext,
    claim: Claim,
    trained: Trained,
    champion_before: Champion | None,
) -> bool:
    """Registry row, decision, promotion and the job's end: one transaction."""
    definition = claim.job.definition
    model, version, judgement = trained.model, trained.version, trained.judgement
    decision = Decision(
        portfolio=definition.name,
        version=version,
        against_version=None if champion_before is None else champion_before.version,
        promoted=judgement.promoted,
        reason=judgement.reason,
        figures=judgement.figures,
        decided_by="gate",
        job_id=claim.job.id,
    )
    with writing(context.engine) as connection:
        register_model(
            connection,
            version=version,
            job_id=claim.job.id,
            definition=definition,
            metrics=model.metrics,
            reference=trained.reference,
            parent_version=claim.job.options.get("from"),
            learned_until=trained.learned_until,
            learned_records=model.counts["labelled"],
        )
        is_promoted = decide(connection, decision, champion_before=champion_before)
        result: dict[str, Any] = {
            "metrics": model.metrics,
            "counts": model.counts,
            "promoted": is_promoted,
            "reason": judgement.reason,
        }
        result |= {name: judgement.figures[name] for name in (REFUSED_FOR, SUSPICIOUS) if name in judgement.figures}
        result |= {} if trained.folds is None else {"folds": trained.folds}
        if claim.job.options.get("quick"):
            result["full_training_job"] = _train_in_full(connection, claim)
        complete_whole_job(connection, claim, result=result, model_version=version)
    return is_promoted
