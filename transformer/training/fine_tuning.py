"""Makes a challenger from a champion: its weights tuned on new records, or its calibration alone."""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from transformer.bundles.bundle import LoadedModel
from transformer.bundles.calibration import Calibration
from transformer.bundles.trained_model import TrainedModel
from transformer.evaluation.figures import evaluate
from transformer.fitting.examples import Examples
from transformer.fitting.fitter import fit_network
from transformer.fitting.options import EpochReport, FittingOptions, Hooks
from transformer.network.architecture import build_network
from transformer.network.keras_prediction import predict_logits
from transformer.records.column_reading import read_columns
from transformer.records.features import Inputs
from transformer.training.calibration_fitting import fit_platt

LEAST_PER_CLASS = 10  # with fewer the champion's calibration is kept

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Material:
    """Some records of known outcome: one row each in all three."""

    frame: pd.DataFrame
    target: Floats
    keys: NDArray[np.object_]

    def __len__(self) -> int:
        return len(self.target)


@dataclass(frozen=True)
class Lesson:
    """What to learn from and what to be judged by, all of it labelled.

    `learn` are new records, `replay` old ones that keep the network from forgetting, `stop` the newest ones before the
    exam: they stop the fitting and calibrate. `exam` is later than all of them and never learned from.
    """

    learn: Material
    stop: Material
    replay: Material
    exam: Material


@dataclass(frozen=True)
class FineTuningOptions:
    """How far a challenger may go from its champion. The learning rate is a quarter of training's."""

    seed: int = 7
    epochs: int = 8
    learning_rate: float = 5e-4
    pull: float = 0.1
    patience: int = 2


def fine_tune(
    champion: LoadedModel,
    lesson: Lesson,
    *,
    options: FineTuningOptions | None = None,
    on_epoch: Callable[[EpochReport], None] | None = None,
    on_batch: Callable[[], None] | None = None,
) -> TrainedModel:
    """Return the champion's network fitted further on new and replayed records; the champion stays as it is.

    The transform is the champion's, so that both read a record alike. Early stopping is on the lesson's `stop` part.
    """
    options = options or FineTuningOptions()
    started = perf_counter()
    keras.utils.set_random_seed(options.seed)
    network = build_network(champion.transform, champion.network_options)
    network.set_weights(champion.network.get_weights())
    parts = (lesson.learn, lesson.replay)
    inputs = [inputs_of(champion, part.frame) for part in parts if len(part)]
    target = np.concatenate([part.target for part in parts])
    usual = FittingOptions.for_rows(len(target), epochs=options.epochs, seed=options.seed)
    fitting = FittingOptions(
        batch_rows=usual.batch_rows,
        epochs=options.epochs,
        seed=options.seed,
        learning_rate=options.learning_rate,
        weight_decay=0.0,
        averaging=usual.averaging,
        patience=options.patience,
        pull=options.pull,
    )
    fitted = fit_network(
        network,
        champion.transform,
        Examples({name: np.concatenate([one[name] for one in inputs]) for name in inputs[0]}, target),
        Examples(inputs_of(champion, lesson.stop.frame), lesson.stop.target),
        options=fitting,
        hooks=Hooks(on_epoch or (lambda _report: None), on_batch or (lambda: None)),
    )
    calibration = _calibrated(fitted.valid_logits, lesson.stop.target, champion.calibration)
    return _challenger(champion, network, calibration, lesson, epochs_run=fitted.epochs_run, started=started)


def recalibrate(champion: LoadedModel, lesson: Lesson) -> TrainedModel:
    """Return the champion's own network with a calibration fitted on all that `lesson` holds before the exam."""
    started = perf_counter()
    logits = np.concatenate([logits_of(champion, part.frame) for part in (lesson.learn, lesson.stop) if len(part)])
    target = np.concatenate([lesson.learn.target, lesson.stop.target])
    calibration = _calibrated(logits, target, champion.calibration)
    return _challenger(champion, champion.network, calibration, lesson, epochs_run=0, started=started)


def inputs_of(model: LoadedModel | TrainedModel, frame: pd.DataFrame) -> Inputs:
    """Return the network's inputs for records that were found readable."""
    arrays, _ = read_columns(frame, model.schema)
    return model.transform.transform(arrays)


def logits_of(model: LoadedModel | TrainedModel, frame: pd.DataFrame) -> Floats:
    """Return the network's logits for records that were found readable."""
    return predict_logits(model.network, inputs_of(model, frame)) if len(frame) else np.zeros(0)


def probabilities_of(model: LoadedModel | TrainedModel, frame: pd.DataFrame) -> Floats:
    """Return the probabilities that scoring would store for records that were found readable."""
    return model.calibration.probabilities(logits_of(model, frame))


def unreadable_rows(model: LoadedModel, frame: pd.DataFrame) -> NDArray[np.int64]:
    """Return the rows that cannot be scored, and so cannot be learned from."""
    _, problems = read_columns(frame, model.schema)
    return np.unique(np.array([one.row for one in problems], dtype=np.int64))


def _calibrated(logits: Floats, target: Floats, otherwise: Calibration) -> Calibration:
    counts = (int((target == 1).sum()), int((target == 0).sum()))
    return fit_platt(logits, target) if min(counts) >= LEAST_PER_CLASS else otherwise


def _challenger(
    champion: LoadedModel,
    network: keras.Model,
    calibration: Calibration,
    lesson: Lesson,
    *,
    epochs_run: int,
    started: float,
) -> TrainedModel:
    newest = lesson.exam if len(lesson.exam) else lesson.stop
    probabilities = calibration.probabilities(predict_logits(network, inputs_of(champion, newest.frame)))
    sizes = {name: len(getattr(lesson, name)) for name in ("learn", "stop", "replay", "exam")}
    return TrainedModel(
        network=network,
        network_options=champion.network_options,
        transform=champion.transform,
        calibration=calibration,
        metrics=evaluate(newest.target, probabilities),
        counts=sizes | {"rows": len(newest), "left_out_problems": 0},
        holdout_keys=newest.keys,
        reference_probabilities=probabilities,
        epochs_run=epochs_run,
        seconds=perf_counter() - started,
    )
