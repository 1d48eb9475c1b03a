"""Puts together what the gate looks at: both models' scores on the same records, the saved bundle, the speed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from transformer.bundles.bundle import LoadedModel, load_bundle
from transformer.bundles.trained_model import TrainedModel
from transformer.evaluation.figures import calibration_line
from transformer.network.keras_prediction import PREDICTION_ROWS, make_predictor, pad_rows, predict_logits
from transformer.scoring.points import ScoreScale
from transformer.training.fine_tuning import inputs_of
from worker.gate.judgement import Evidence, Scored

CANARY_RECORDS = 500
SPEED_RUNS = 5

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Parts:
    """The records that a challenger is judged by: exam and old ones in one frame, each row in one of them."""

    frame: pd.DataFrame
    target: Floats
    exam: NDArray[np.int64]
    old: NDArray[np.int64]
    learned_date: str
    exam_date: str
    segments: Mapping[str, NDArray[np.bool_]]


class Measured:
    """Runs networks over the parts once each; a recalibrated model shares its champion's run."""

    def __init__(self, parts: Parts, on_batch: Callable[[], None]) -> None:
        self._parts = parts
        self._on_batch = on_batch
        self._known: dict[int, tuple[Floats, float]] = {}

    def probabilities(self, model: LoadedModel | TrainedModel) -> Floats:
        """Return the model's probabilities for every row of the parts."""
        return model.calibration.probabilities(self._run(model)[0])

    def seconds(self, model: LoadedModel | TrainedModel) -> float:
        """Return how long the network needs for a batch: the quickest of some, since the machine has other work too."""
        return self._run(model)[1]

    def _run(self, model: LoadedModel | TrainedModel) -> tuple[Floats, float]:
        found = self._known.get(id(model.network))
        if not len(self._parts.frame):
            return np.zeros(0), 1.0
        if found is None:
            inputs, predict = inputs_of(model, self._parts.frame), make_predictor(model.network)
            logits = predict_logits(model.network, inputs, on_batch=self._on_batch, predict=predict)
            batch = {name: pad_rows(one[:PREDICTION_ROWS], PREDICTION_ROWS) for name, one in inputs.items()}
            found = self._known[id(model.network)] = logits, min(_time(predict, batch) for _ in range(SPEED_RUNS))
        return found


def _time(predict: Callable[[Any], Any], batch: Any) -> float:
    started = perf_counter()
    predict(batch).numpy()
    return perf_counter() - started


def gather_evidence(
    parts: Parts,
    measured: Measured,
    champion: LoadedModel,
    challenger: LoadedModel | TrainedModel,
    scale: ScoreScale,
    **more: Any,
) -> Evidence:
    """Return the evidence about one challenger; `more` are further fields of `Evidence`."""
    before, after = measured.probabilities(champion), measured.probabilities(challenger)
    scored = Scored(parts.target, before, after, scale.points_of(before), scale.points_of(after))
    exam = scored.part(parts.exam)
    has_both = 0 < exam.bad < len(exam.target)
    slope = calibration_line(exam.target, exam.challenger)[0] if has_both else None
    return Evidence(
        exam=exam,
        old=scored.part(parts.old),
        learned_date=parts.learned_date,
        exam_date=parts.exam_date,
        calibration_slope=slope,
        relative_speed=measured.seconds(champion) / max(measured.seconds(challenger), 1e-9),
        segments=parts.segments,
        **more,
    )


def count_canary_mismatches(models_url: str, version: str, parts: Parts, expected: Floats) -> int:
    """Load a saved bundle again and count the records whose score is not exactly that of the model in memory."""
    sample = np.arange(min(CANARY_RECORDS, len(parts.frame)))
    if not len(sample):
        return 0
    loaded = load_bundle(models_url, version)
    logits = predict_logits(loaded.network, inputs_of(loaded, parts.frame.iloc[sample]))
    return int((loaded.calibration.probabilities(logits) != expected[sample]).sum())
