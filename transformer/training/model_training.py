"""Trains a network on the labelled records of a book: prepare, pretrain, fit, calibrate, evaluate."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from time import perf_counter
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from transformer.branches.branch_mixture import copy_branches, plant
from transformer.branches.scorecard import Layout, choose_card_rows
from transformer.branches.side_models import VERY_FEW, SideModels
from transformer.branches.tree_boosting import Booster, choose_tree_rows
from transformer.bundles.trained_model import TrainedModel
from transformer.evaluation.figures import evaluate
from transformer.fitting.options import SOME_ROWS, EpochReport, FittingOptions, Hooks
from transformer.fitting.pretraining import Pretrained, PretrainingOptions, pretrain, pretraining_rows
from transformer.network.architecture import NetworkOptions, build_network, tree_inputs
from transformer.network.compiled_network import CompiledNetwork
from transformer.network.layers.oblivious_trees import ObliviousTrees
from transformer.records.features import BINS, FINE_BINS, FeatureTransform
from transformer.records.labelled_book import Book
from transformer.records.record_store import CHUNK_ROWS
from transformer.records.schema import RecordSchema
from transformer.records.splitting import Indices
from transformer.training.calibration_fitting import calibrate
from transformer.training.event_fields import Effort, with_event_fields
from transformer.training.fitting_strategy import FEW_LABELLED, Outcome, Task, ToLearn, fit_with_few, fit_with_many
from transformer.training.preparation import Document, PreparationOptions, Prepared, prepare

FEW_ROWS_TO_PRETRAIN = 1000  # below this there is nothing to learn from records without outcomes
FINE_WEIGHT_DECAY = 0.03
MOST_FINE_NUMBERS = 40  # with more of them 96 edges each are slow to learn, and records hardly repeat
QUICK_SHARE = 0.25  # of the usual epochs
LEAST_REFIT_SHARE = 0.05  # a smaller validation part is not worth a second fit for its own sake

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TrainingOptions:
    """What a user may set. Shares are of the labelled records; without `epochs` the size of the book decides.

    `seeds` networks share one trunk (see `NetworkOptions.seeds`). `pretraining` None lets the book decide.
    `trees` lets boosted trees be a part of the network where they help. `finer_edges` lets books of some thousand
    outcomes try six times as many edges. `quick` gives a first model in seconds: one short fit on the training rows,
    with all choices made on the validation rows. `class_weights` makes both outcomes weigh the same while fitting;
    calibration brings the probabilities back. With `learn_held_out` the network is fitted once more, on the held-out
    records too, after these have given the figures: metrics and reference are those of the network before.
    """

    seed: int = 7
    seeds: int = 1
    epochs: int | None = None
    time_limit_minutes: float | None = None
    pretraining: bool | None = None
    class_weights: bool = False
    refit: bool = True
    trees: bool = True
    finer_edges: bool = True
    quick: bool = False
    learn_held_out: bool = False
    valid_share: float = 0.12
    holdout_share: float = 0.15
    network: NetworkOptions = field(default_factory=NetworkOptions)


@dataclass(frozen=True)
class Start:
    """A network to start from, with the transform and the sizes that it was made for."""

    network: keras.Model
    transform: FeatureTransform
    network_options: NetworkOptions


@threadpool_limits.wrap(limits=1, user_api="blas")  # training has threads of its own: those of BLAS wait by spinning
def train_model(
    book: Book,
    schema: RecordSchema,
    *,
    options: TrainingOptions | None = None,
    start: Start | None = None,
    on_epoch: Callable[[EpochReport], None] | None = None,
    on_batch: Callable[[], None] | None = None,
) -> TrainedModel:
    """Train on the labelled records of a book, from nothing or from another version's network.

    Records that cannot be read are left out and counted. The same records, options and machine give the same model.
    `on_batch` is called every few batches. Raises `TrainingDataError` where there is too little to learn from.
    """
    options = options or TrainingOptions()
    began = perf_counter()
    deadline = None if options.time_limit_minutes is None else began + 60 * options.time_limit_minutes
    hooks = Hooks(on_epoch or (lambda _report: None), on_batch or (lambda: None))
    course = _Course(options, deadline, hooks, began)
    how = PreparationOptions(options.valid_share, options.holdout_share)
    own = None if start is None else start.transform.schema
    effort: Effort = "quick" if options.quick else "whole" if deadline is None else "aggregates"
    book, schema, events = with_event_fields(book, schema, how, own, hooks.on_batch, effort=effort)
    usual = _try(book, schema, course, start)
    assert usual is not None, "without a rival nothing is given up"
    chosen, told = usual, events | {"edges": {"bins": usual.prepared.transform.bins}}
    if start is None and _may_be_finer(usual, course):
        finer = _try(book, schema, course.told_as("finer edges"), None, bins=FINE_BINS, rival=usual.outcome)
        if finer is not None:
            chosen, told["edges"] = _choose_edges(usual, finer)
    return _finish(book, course, chosen, told)


@dataclass(frozen=True)
class _Course:
    options: TrainingOptions
    deadline: float | None
    hooks: Hooks
    began: float

    def told_as(self, name: str) -> "_Course":
        """Return the same course, whose stages name what is tried."""
        on_epoch = self.hooks.on_epoch
        named = replace(self.hooks, on_epoch=lambda one: on_epoch(replace(one, stage=f"{one.stage} ({name})")))
        return replace(self, hooks=named)


@dataclass(frozen=True)
class _Try:
    """A network that was fitted on what was prepared for it."""

    prepared: Prepared
    sizes: NetworkOptions
    network: keras.Model
    outcome: Outcome
    pretrained: Pretrained


def _try(
    book: Book,
    schema: RecordSchema,
    course: _Course,
    start: Start | None,
    *,
    bins: int = BINS,
    rival: Outcome | None = None,
) -> _Try | None:
    """Fit a network; None where it is soon clear that it will not beat the rival."""
    options = course.options
    keras.utils.set_random_seed(options.seed)
    how = PreparationOptions(
        options.valid_share, options.holdout_share, bins, None if start is None else start.transform
    )
    prepared, sizes = prepare(book, schema, how), _sizes_of(options, start)
    network = build_network(prepared.transform, sizes)
    if start is not None:
        copy_branches(start.network, network, is_trained_again=True)
    pretrained = _pretrain(network, prepared, sizes, course, is_started=start is not None)
    outcome = _fit(network, prepared, course, pretrained, rival)
    return None if outcome is None else _Try(prepared, sizes, network, outcome, pretrained)


def _may_be_finer(usual: _Try, course: _Course) -> bool:
    """Whether finer edges are tried as well: in middling books, unless the user has set how long to train."""
    options, prepared = course.options, usual.prepared
    is_middling = VERY_FEW < len(prepared.parts.train) < SOME_ROWS
    is_middling = is_middling and tree_inputs(prepared.transform).numbers <= MOST_FINE_NUMBERS
    is_free = options.epochs is None and course.deadline is None and not options.quick
    return is_middling and is_free and options.finer_edges


def _choose_edges(usual: _Try, finer: _Try) -> tuple[_Try, Document]:
    """Take the finer edges where they are better on the validation rows by more than a standard error.

    They let the network learn by heart where records nearly repeat; elsewhere they cost.
    """
    losses = [
        np.logaddexp(0, np.where(one.outcome.target == 1, -one.outcome.logits, one.outcome.logits))
        for one in (usual, finer)
    ]
    gains = losses[0] - losses[1]
    gain, error = float(gains.mean()), float(gains.std() / np.sqrt(len(gains)))
    chosen = finer if gain > error else usual
    told = {"bins": chosen.prepared.transform.bins, "finer_edges_gain": {"log_loss": gain, "error": error}}
    return chosen, told


def _finish(book: Book, course: _Course, chosen: _Try, told: Document) -> TrainedModel:
    prepared, outcome = chosen.prepared, chosen.outcome
    network, sizes = _planted(chosen, outcome.trees)
    calibration, held_out = calibrate(outcome.logits, outcome.target), prepared.parts.holdout
    reference = calibration.probabilities(_logits_of(network, prepared, held_out, course.hooks))
    if course.options.learn_held_out and outcome.fit_again is not None:
        every = np.concatenate([prepared.parts.train, prepared.parts.valid, held_out])
        network, sizes = _planted(
            chosen, outcome.fit_again(_to_learn(prepared, every, weighted=course.options.class_weights))
        )
        told |= {"learned_held_out": len(every)}
    pretrained = chosen.pretrained.document
    return TrainedModel(
        network=network,
        network_options=sizes,
        transform=prepared.transform,
        calibration=calibration,
        metrics=evaluate(book.target[held_out], reference),
        counts=prepared.counts,
        holdout_keys=book.keys[held_out],
        reference_probabilities=reference,
        epochs_run=outcome.epochs_run,
        seconds=perf_counter() - course.began,
        strategy={**outcome.document, **told, "pretraining": pretrained, "seeds": chosen.sizes.seeds},
        preparation=prepared.report,
    )


def _planted(chosen: _Try, trees: ObliviousTrees | None) -> tuple[keras.Model, NetworkOptions]:
    if trees is None:
        return chosen.network, chosen.sizes
    return plant(chosen.network, chosen.prepared.transform, chosen.sizes, trees, chosen.outcome.mixture.trees)


def _sizes_of(options: TrainingOptions, start: Start | None) -> NetworkOptions:
    if start is not None:
        return replace(start.network_options, trees=0, oblivious=0, combinations=0)
    return NetworkOptions(**(asdict(options.network) | {"seeds": options.seeds}))


def _pretrain(
    network: keras.Model, prepared: Prepared, sizes: NetworkOptions, course: _Course, *, is_started: bool
) -> Pretrained:
    rows = pretraining_rows(len(prepared.target), prepared.parts.holdout)
    labelled = len(prepared.parts.train) + len(prepared.parts.valid)
    wanted, why = _decide_pretraining(course.options, labelled, len(rows), is_started=is_started)
    if not wanted:
        return Pretrained({"done": False, "why": why})
    how = PretrainingOptions(course.options.seed, rows, deadline=course.deadline)
    told = pretrain(network, prepared.transform, prepared.inputs, sizes=sizes, options=how, hooks=course.hooks)
    return replace(told, document={"done": True, "why": why, **told.document})


def _decide_pretraining(options: TrainingOptions, labelled: int, rows: int, *, is_started: bool) -> tuple[bool, str]:
    if options.pretraining is not None:
        return options.pretraining, "as asked"
    if options.quick:
        return False, "a quick model is wanted"
    if is_started:
        return False, "the network comes from another version"
    if rows < FEW_ROWS_TO_PRETRAIN:
        return False, f"{rows} records are too few to learn from without outcomes"
    if rows < 2 * labelled:
        return False, f"{labelled} of {rows} records have an outcome: they say more than pretraining would"
    return True, f"{labelled} of {rows} records have an outcome: the others say what records look like"


def _fit(
    network: keras.Model, prepared: Prepared, course: _Course, pretrained: Pretrained, rival: Outcome | None
) -> Outcome | None:
    options, hooks = course.options, course.hooks
    parts = prepared.parts
    both = np.concatenate([parts.train, parts.valid])
    common: dict[str, Any] = {"epochs": options.epochs, "seed": options.seed, "deadline": course.deadline}
    weighted = options.class_weights
    booster = Booster(tree_inputs(prepared.transform), options.seed, hooks.on_batch) if options.trees else None
    booster = booster.hurried() if booster is not None and options.quick else booster
    side_models = SideModels(Layout.of(prepared.transform), booster)
    schedule = FittingOptions.longer(len(parts.train), **common)
    if prepared.transform.bins == FINE_BINS:  # made to learn by heart, which takes long and little decay
        schedule = replace(schedule, weight_decay=FINE_WEIGHT_DECAY)
    if len(both) <= VERY_FEW:
        schedule = FittingOptions.for_rows(len(both), **common)
    if options.quick:
        schedule = schedule.shortened(QUICK_SHARE)
    task = Task(network, prepared.transform, side_models, schedule, hooks)
    if len(both) <= FEW_LABELLED and options.refit and not options.quick:
        labelled = prepared.examples(both, class_weights=weighted)
        return fit_with_few(task, labelled, pretrained if pretrained.document["done"] else None, rival=rival)
    is_worth_it = len(parts.valid) >= LEAST_REFIT_SHARE * len(both)
    is_wanted = options.refit and is_worth_it and not options.quick
    again = _to_learn(prepared, both, weighted=weighted) if is_wanted else None
    first = _to_learn(prepared, parts.train, weighted=weighted)
    return fit_with_many(task, first, prepared.examples(parts.valid), again=again, rival=rival)


def _to_learn(prepared: Prepared, rows: Indices, *, weighted: bool) -> ToLearn:
    source = prepared.source(rows, class_weights=weighted)
    card_rows = choose_card_rows(len(rows), Layout.of(prepared.transform))
    chosen = max(card_rows, choose_tree_rows(len(rows), tree_inputs(prepared.transform)), key=len)
    weight = None if source.weight is None else source.weight[chosen]
    return ToLearn(source, replace(prepared.examples(rows[chosen]), weight=weight))


def _logits_of(network: keras.Model, prepared: Prepared, rows: Indices, hooks: Hooks) -> Floats:
    scored, parts = CompiledNetwork.of(network, prepared.transform), list[Floats]()
    for start in range(0, len(rows), CHUNK_ROWS):
        inputs = prepared.examples(rows[start : start + CHUNK_ROWS]).inputs
        parts.append(scored.run(inputs, with_summary=False)[0])
        hooks.on_batch()
    return np.concatenate(parts)
