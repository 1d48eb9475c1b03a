"""Collects the gate's evidence: both models' scores on the same records, the saved bundle, the speed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from transformer.bundles.bundle import LoadedModel, load_bundle
from transformer.bundles.canary import CanaryOutcome
from transformer.bundles.trained_model import TrainedModel
from transformer.evaluation.figures import calibration_line, calibration_slope
from transformer.events.event_canary import check_event_canary
from transformer.records.schema import RecordSchema
from transformer.scoring.points import ScoreScale
from transformer.scoring.scorer import BATCH_ROWS, Scorer
from worker.gate.exam import Evidence, Scored, Slopes

CANARY_RECORDS = 500
SPEED_RUNS = 5

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Parts:
    """The records that judge a challenger: new (`judging`) and old ones in one frame, each row in one of the two.

    `read` returns the same records with the fields that a schema makes of their events.
    """

    frame: pd.DataFrame
    target: Floats
    judging: NDArray[np.int64]
    old: NDArray[np.int64]
    learned_date: str
    judging_date: str
    segments: Mapping[str, NDArray[np.bool_]]
    is_random: bool = False  # the judging records were drawn from the newest date by a hash
    read: Callable[[RecordSchema], pd.DataFrame] | None = None

    def frame_for(self, schema: RecordSchema) -> pd.DataFrame:
        """Return the records as a model of this schema reads them: not all make the same fields of their events."""
        if self.read is None or schema.event_fields <= set(self.frame.columns):
            return self.frame
        return self.read(schema)


class Measured:
    """Scores the parts with the scorer of a night, each model once."""

    def __init__(self, parts: Parts, on_batch: Callable[[], None]) -> None:
        self._parts = parts
        self._on_batch = on_batch
        self._known: dict[int, tuple[Floats, Scorer]] = {}

    def probabilities(self, model: LoadedModel | TrainedModel) -> Floats:
        """Return the probabilities that a night would store, for every row of the parts."""
        return self._run(model)[0] if len(self._parts.frame) else np.zeros(0)

    def relative_speed(self, model: LoadedModel | TrainedModel, champion: LoadedModel) -> float:
        """Return the speed of a model over the champion's, by the quickest batch of several each.

        They take turns, because the machine does other work too, which may begin or end between two of them.
        """
        if not len(self._parts.frame):
            return 1.0
        scorers = [self._run(one)[1] for one in (champion, model)]
        batches = [self._parts.frame_for(one.schema).head(BATCH_ROWS) for one in scorers]
        turns = list(zip(scorers, batches, strict=True))
        rounds = [[_time(scorer, batch) for scorer, batch in turns] for _ in range(SPEED_RUNS)]
        before, after = (min(seconds) for seconds in zip(*rounds, strict=True))
        return before / max(after, 1e-9)

    def _run(self, model: LoadedModel | TrainedModel) -> tuple[Floats, Scorer]:
        found = self._known.get(id(model))
        if found is None:
            scorer = Scorer(model, "under examination")
            frame = self._parts.frame_for(scorer.schema)
            found = self._known[id(model)] = _probabilities(scorer, frame, self._on_batch), scorer
        return found


def _probabilities(scorer: Scorer, frame: pd.DataFrame, on_batch: Callable[[], None] | None = None) -> Floats:
    scored = scorer.score(frame, on_batch, with_reasons=False)
    assert len(scored.rows) == len(frame), "unreadable records were left out before"
    return scored.probabilities


def _time(scorer: Scorer, batch: pd.DataFrame) -> float:
    started = perf_counter()
    scorer.score(batch, with_reasons=False)
    return perf_counter() - started


def gather_evidence(
    parts: Parts,
    measured: Measured,
    champion: LoadedModel,
    challenger: LoadedModel | TrainedModel,
    scale: ScoreScale,
    *,
    judged: Floats | None = None,
    **more: Any,
) -> Evidence:
    """Return the evidence about one challenger; `more` are further fields of `Evidence`.

    `judged` are probabilities of the judging records by the same recipe before it learned from them: they stand for a
    challenger that has learned from all records since, and no old record judges it.
    """
    before = measured.probabilities(champion)
    if judged is None:
        after, old = measured.probabilities(challenger), parts.old
    else:
        after, old = before.copy(), parts.old[:0]
        after[parts.judging] = judged
    scored = Scored(parts.target, before, after, scale.points_of(before), scale.points_of(after))
    judging = scored.part(parts.judging)
    return Evidence(
        judging=judging,
        old=scored.part(old),
        learned_date=parts.learned_date,
        judging_date=parts.judging_date,
        slopes=_slopes_of(judging),
        relative_speed=measured.relative_speed(challenger, champion),
        segments=parts.segments,
        is_random_part=parts.is_random,
        is_provisional=judged is not None,
        **more,
    )


def _slopes_of(judging: Scored) -> Slopes | None:
    if not 0 < judging.bad < len(judging.target):
        return None
    champion = calibration_line(judging.target, judging.champion)[0]
    return Slopes(champion, *calibration_slope(judging.target, judging.challenger))


def count_canary_mismatches(models_url: str, version: str, parts: Parts, expected: Floats) -> int:
    """Load a saved bundle again and count the records whose score is not exactly that of the model in memory.

    Records of the canary count too, if what is made of their events is not what it was.
    """
    sample = np.arange(min(CANARY_RECORDS, len(parts.frame)))
    if not len(sample):
        return 0
    scorer = Scorer(load_bundle(models_url, version), version)
    wrong = int((_probabilities(scorer, parts.frame_for(scorer.schema).iloc[sample]) != expected[sample]).sum())
    if scorer.reference is None:
        return wrong
    return wrong + check_event_canary(CanaryOutcome(0, 0, 0.0), scorer.reference.canary, scorer.schema).mismatches
