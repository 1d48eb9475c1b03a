"""Makes the challengers of a retraining, each within its time, from the same records.

refit          the champion's recipe from nothing, on all that is known: trees, edges, categories, mixture
fine_tuned     the champion's weights, fitted further on new outcomes and replayed old ones
pretrained     the same after a pretraining on tonight's book, where there are no outcomes to learn from
recalibrated   the champion's network with a new calibration: the control
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from db.connections.engine import Engine
from db.ledger.job_lifecycle import get_job
from db.ledger.shard_leases import Claim
from db.portfolios.definition import PortfolioDefinition
from db.registry.versions import get_model
from db.schema.states import JobKind
from transformer.bundles.bundle import LoadedModel
from transformer.bundles.column_signs import SIGNS
from transformer.bundles.trained_model import TrainedModel
from transformer.errors import TrainingDataError
from transformer.fitting.continued_pretraining import continue_pretraining
from transformer.reasons.explainer import Explainer
from transformer.training.fine_tuning import (
    FineTuningOptions,
    Lesson,
    fine_tune,
    inputs_of,
    recalibrate,
    unreadable_rows,
)
from transformer.training.model_training import TrainingOptions, train_model
from transformer.training.reason_fitting import ExplanationOptions, fit_explainer
from worker.gate.preference import PRETRAINED, RECALIBRATED, REFIT
from worker.learning.book_reading import read_book, sample_lowest
from worker.learning.held_out_keys import held_out_secret
from worker.learning.lesson_plan import TrainingPlan
from worker.learning.readable_records import Records
from worker.records.event_reading import read_whole_book
from worker.records.moments import date_of_night
from worker.runtime.context import WorkerContext
from worker.runtime.heartbeat import Heartbeat
from worker.runtime.portfolio_mapping import schema_of
from worker.training.challenger_card import describe_challenger, keep_held_out
from worker.training.model_description import describe_model
from worker.training.progress import ProgressBoard
from worker.training.reference_freezing import FrozenReference, freeze, freeze_records
from worker.training.train_job import options_of as options_of_training

LEAST_LEARNED = 50
MOST_PRETRAINED = 200_000  # records of tonight's book: more teach little for their time
# Its reasons are near the champion's: half the rows and a quarter of the predictions that training takes are enough.
REASONS = ExplanationOptions(most_rows=3_000, predictions=75_000)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Offered:
    """A challenger before it is saved. A recalibrated model has the champion's network, and so its reasons.

    `judged` are probabilities of the judging records by the recipe before it learned from them, for a refit that has
    learned from all records since; None if the model itself is judged.
    """

    model: TrainedModel
    explainer: Explainer | None
    frozen: FrozenReference
    card: dict[str, bytes]
    judged: Floats | None = None


@dataclass(frozen=True)
class Bench:
    """What all challengers of one retraining are made from."""

    context: WorkerContext
    claim: Claim
    champion: LoadedModel
    parent: str
    records: Records
    plan: TrainingPlan
    heartbeat: Heartbeat
    board: ProgressBoard

    @property
    def definition(self) -> PortfolioDefinition:
        """The portfolio's definition, as the job copied it."""
        return self.claim.job.definition

    def lesson(self) -> Lesson:
        """Return the parts of a fine-tuning. Raises `TrainingDataError` if they hold too little to learn from."""
        target = self.records.labels.target
        for name, rows in (("learn from", self.plan.learn), ("stop by", self.plan.stop)):
            bad = int((target[rows] == 1).sum())
            if len(rows) < LEAST_LEARNED or not 0 < bad < len(rows):
                raise TrainingDataError(
                    f"expected {LEAST_LEARNED} new outcomes or more, of both kinds, to {name}; got {len(rows)}, "
                    f"{bad} bad",
                    "load more: tidemark outcomes load NAME FILE",
                )
        plan = self.plan
        return Lesson(*(self.records.labelled_part(one) for one in (plan.learn, plan.stop, plan.replay, plan.judging)))


class _Budget:
    """A heartbeat that ends a fit when its time is up."""

    def __init__(self, heartbeat: Heartbeat, minutes: int) -> None:
        self._heartbeat, self._minutes = heartbeat, minutes
        self._end = time.monotonic() + 60 * minutes

    def __call__(self) -> None:
        self._heartbeat()
        if time.monotonic() > self._end:
            raise TrainingDataError(
                f"the fit took longer than the time budget of {self._minutes} minutes",
                'raise it in the portfolio file: [retraining] time_budget = "120 minutes"',
            )


def make_challenger(bench: Bench, name: str) -> Offered:
    """Make one challenger within its time. Raises `TrainingDataError` if it cannot be made from these records."""
    beat = _Budget(bench.heartbeat, bench.definition.retraining.time_budget)
    if name == REFIT:
        return _refit(bench, beat)
    lesson = bench.lesson()
    if name == RECALIBRATED:
        return _described(bench, lesson, name, recalibrate(bench.champion, lesson), bench.champion.explainer)
    start = bench.champion
    if name == PRETRAINED:
        start = replace(start, network=_pretrained(bench, beat))
    bench.heartbeat.renew(bench.board.enter("fitting", records=len(lesson.learn)))
    tuned = fine_tune(
        start,
        lesson,
        options=options_of(bench.claim.job.options),
        on_epoch=lambda one: bench.heartbeat.renew(bench.board.after_epoch(one)),
        on_batch=beat,
    )
    bench.heartbeat.renew(bench.board.enter("reasons"))
    return _described(bench, lesson, name, tuned, explain_tuned(tuned, lesson, beat))


def _refit(bench: Bench, beat: Callable[[], None]) -> Offered:
    """Train as `tidemark train` does, with the judging records held out; then learn from these too."""
    definition, plan = bench.definition, bench.plan
    if not len(plan.judging):
        raise TrainingDataError("there are no new outcomes to judge a refit by", "load some: tidemark outcomes load")
    book, _ = read_book(bench.context, definition, bench.heartbeat)
    judging = bench.records.keys[plan.judging]
    book = replace(book, holdout=pd.Index(book.keys).isin(pd.Index(judging)))
    bench.heartbeat.renew(bench.board.enter("fitting", records=len(book.records)))
    model = train_model(
        book,
        schema_of(definition),
        options=replace(recipe_of(bench.context.engine, bench.parent), learn_held_out=True, quick=False),
        on_epoch=lambda one: bench.heartbeat.renew(bench.board.after_epoch(one)),
        on_batch=beat,
    )
    book = book.reading(model.schema)
    places = pd.Index(model.holdout_keys).get_indexer(pd.Index(judging))
    if (places < 0).any():
        raise TrainingDataError(
            f"{int((places < 0).sum())} of the records that judge can be read by the champion, but not by a refit",
            "compare the columns of the portfolio with the champion's: tidemark model show VERSION",
        )
    bench.heartbeat.renew(bench.board.enter("reasons"))
    secret = held_out_secret(bench.context, definition.name)
    described = describe_model(model, book, definition, secret=secret, on_batch=beat)
    frozen = freeze(model, book, definition, probabilities=model.reference_probabilities)
    return Offered(model, described.explainer, frozen, described.files, model.reference_probabilities[places])


def recipe_of(engine: Engine, version: str) -> TrainingOptions:
    """Return the training options of a champion: those of the training that it, or the model it came from, is from."""
    seen: set[str] = set()
    found: str | None = version
    while found is not None and found not in seen:
        seen.add(found)
        model = get_model(engine, found)
        job = None if model.job_id is None else get_job(engine, model.job_id)
        if job is not None and job.kind is JobKind.TRAINING:
            return options_of_training(job.options)
        found = model.parent_version
    return TrainingOptions()


def _described(bench: Bench, lesson: Lesson, made: str, model: TrainedModel, explainer: Explainer | None) -> Offered:
    newest, secret = (
        lesson.exam if len(lesson.exam) else lesson.stop,
        held_out_secret(bench.context, bench.definition.name),
    )
    card = describe_challenger(model, lesson, bench.definition, made=made, parent=bench.parent, explainer=explainer)
    card |= keep_held_out(model, lesson, secret=secret)
    frozen = freeze_records(model, newest.frame, bench.definition, _feeds_of(bench))
    return Offered(model, explainer, frozen, card)


def _feeds_of(bench: Bench) -> dict[str, Any]:
    """The feeds as they were counted when the champion's events were chosen."""
    fields = get_model(bench.context.engine, bench.parent).reference.get("fields") or {}
    return (fields.get(SIGNS) or {}).get("events") or {}


def _pretrained(bench: Bench, beat: Callable[[], None]) -> keras.Model:
    """Pretrain the champion's network further on tonight's book, whose outcomes are not yet known."""
    champion, definition = bench.champion, bench.definition
    night = date_of_night(bench.claim.job)
    book = read_whole_book(bench.context.engine, definition, champion.schema, night=night)
    frame = pd.concat(sample_lowest(book, MOST_PRETRAINED), ignore_index=True)
    frame = frame.drop(index=unreadable_rows(champion, frame).tolist()).reset_index(drop=True)
    bench.heartbeat.renew()
    return continue_pretraining(champion, inputs_of(champion, frame), on_batch=beat)


def explain_tuned(model: TrainedModel, lesson: Lesson, beat: Callable[[], None]) -> Explainer:
    """Fit the reasons of a tuned network on its training records."""
    learned = (lesson.learn, lesson.replay)
    frame = pd.concat([part.frame for part in learned], ignore_index=True)
    target = np.concatenate([part.target for part in learned])
    return fit_explainer(model, frame, target, options=REASONS, on_batch=beat)


def options_of(options: dict[str, Any]) -> FineTuningOptions:
    """Return the options of a job: those that a user may set, with defaults for the rest."""
    allowed = {name: options[name] for name in ("seed", "epochs") if options.get(name) is not None}
    return FineTuningOptions(**allowed)
