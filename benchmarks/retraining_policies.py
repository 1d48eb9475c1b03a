"""On real records in time order: the loop against never retraining, every few slices, and at every alarm.

    python3 -m benchmarks.retraining_policies [PATH/TO/bank_marketing/data.parquet]

bank_marketing holds calls of a bank from May 2008 to November 2010 in their order; its rate of the event goes from 5
to 46 percent. The first part trains the model that all policies begin with. Every later slice is scored by the policy's
model of that moment; its outcomes are known one slice later. The policies that retrain do so from scratch on all that
is known by then; the loop uses the trigger, the fine-tuning and the gate of the workers, in this process.
"""

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from benchmarks.report import write_report
from benchmarks.sliced_records import DATA, FIRST_ROWS, SLICES, Records, read_records
from db.portfolios.retraining_policy import GatePolicy, RetrainingPolicy
from db.schema.states import Verdict
from transformer.bundles.bundle import LoadedModel, load_bundle, save_bundle
from transformer.bundles.trained_model import TrainedModel
from transformer.records.splitting import hash_order
from transformer.scoring.points import ScoreScale
from transformer.training.fine_tuning import (
    FineTuningOptions,
    Lesson,
    fine_tune,
    probabilities_of,
    recalibrate,
)
from transformer.training.model_training import TrainingOptions, train_model
from worker.drift import Histogram, compare, judge
from worker.gate.evidence import Measured, Parts, gather_evidence
from worker.gate.judgement import Outcome, histogram_of, judge_challenger
from worker.learning.lesson_plan import plan_training
from worker.monitoring.outcome_deviation import Level, newest_level, tell_difference
from worker.monitoring.retraining_trigger import Answer, Situation, answer_drift
from worker.training.fine_tune_job import Challenger, prefer_one

EPOCHS = 3
RECORDS_A_DAY = 100  # the set has no dates but the order: what comes later in a slice is of a later day
EVERY_SLICES = 8
SCALE = ScoreScale()
# Short trainings: what is compared is when to train, not how long.
TRAINING = TrainingOptions(epochs=EPOCHS, pretraining=False, refit=False)

# The event's rate changes tenfold here and no model orders the records well within a slice: levels are what can be
# learned. So points may move, and neither ROC AUC nor the slope of so flat a model is held to the usual bounds.
POLICY = RetrainingPolicy(
    least_bad_outcomes=100,
    cool_down_nights=1,
    monthly_cap=1_000,
    gate=GatePolicy(
        least_bad=40,
        largest_auc_loss=0.1,
        largest_points_psi=100.0,
        least_calibration_slope=0.0,
        largest_calibration_slope=1_000.0,
    ),
)

Floats = NDArray[np.float64]


@dataclass
class Player:
    """One policy on its way through the slices."""

    model: LoadedModel
    reference: Histogram
    trainings: int = 0
    promotions: int = 0
    seconds: float = 0.0
    probabilities: list[Floats] = field(default_factory=list[Floats])
    verdicts: list[Verdict] = field(default_factory=list[Verdict])
    # The loop's own memory, which workers keep in tables.
    learned_slice: int = -1
    calm_slice: int = -1
    last_slice: int | None = None
    tried_slice: int = -1
    failures: int = 0
    promoted_slice: int = -1


def train_on(records: Records, rows: NDArray[np.int64], folder: str) -> tuple[LoadedModel, Histogram]:
    model = train_model(records.book(rows), records.schema, options=TRAINING)
    return _saved(model, folder), histogram_of(SCALE.points_of(model.reference_probabilities))


def play(records: Records, player: Player, act: Callable[[Player, int], None]) -> dict[str, Any]:
    """Score every slice, then let the policy act on what is known: the outcomes of the slices before this one."""
    for number in range(SLICES):
        frame = records.frame.iloc[records.rows_of(number)]
        probabilities = probabilities_of(player.model, frame)
        player.probabilities.append(probabilities)
        verdict = judge(compare(player.reference, histogram_of(SCALE.points_of(probabilities))))
        player.verdicts.append(verdict)
        started = perf_counter()
        act(player, number)
        player.seconds += perf_counter() - started
    return _figures(records, player)


def never(_player: Player, _number: int) -> None:
    return


def every_few(records: Records, folder: str) -> Callable[[Player, int], None]:
    def act(player: Player, number: int) -> None:
        if number and number % EVERY_SLICES == 0:
            _retrain(records, player, number, folder)

    return act


def at_every_alarm(records: Records, folder: str) -> Callable[[Player, int], None]:
    def act(player: Player, number: int) -> None:
        if number and player.verdicts[-1] is Verdict.DRIFTED:
            _retrain(records, player, number, folder)

    return act


def the_loop(records: Records, folder: str) -> Callable[[Player, int], None]:
    def act(player: Player, number: int) -> None:
        if player.verdicts[-1] is Verdict.STABLE:
            player.calm_slice, player.failures = number, 0
        calm = player.calm_slice if player.verdicts[-1] is Verdict.DRIFTED else -1
        if player.verdicts[-1] is not Verdict.DRIFTED and _tell_outcomes(records, player, number) is None:
            return
        after = max(player.learned_slice, player.tried_slice, calm)
        is_known = records.slices < number
        new_bad = int(records.target[is_known & (records.slices > after)].sum())
        situation = Situation(
            is_held=False,
            is_in_flight=False,
            has_challenger=False,
            nights_since_last=None if player.last_slice is None else number - player.last_slice,
            failures=player.failures,
            fine_tunings_this_month=0,
            new_bad_outcomes=new_bad,
        )
        if answer_drift(situation, POLICY)[0] is Answer.FINE_TUNE:
            player.failures, player.last_slice, player.tried_slice = player.failures + 1, number, number - 1
            _fine_tune(records, player, number, folder, calm)

    return act


def _tell_outcomes(records: Records, player: Player, number: int) -> str | None:
    """Whether the known outcomes of the champion's own slices differ from what its scores had said."""
    levels: list[Level] = []
    for one in range(number - 1, player.promoted_slice, -1):
        target = records.target[records.rows_of(one)]
        levels.append(Level(len(target), int(target.sum()), float(player.probabilities[one].sum())))
    return tell_difference(newest_level(levels))


def _retrain(records: Records, player: Player, number: int, folder: str) -> None:
    player.model, player.reference = train_on(records, records.rows_before(number), folder)
    player.trainings += 1
    player.promotions += 1


def _fine_tune(records: Records, player: Player, number: int, folder: str, calm: int) -> None:
    rows = records.rows_before(number)
    is_new = records.slices[rows] > max(player.learned_slice, calm)
    dates = np.array([f"{one:06d}" for one in rows // RECORDS_A_DAY])
    plan = plan_training(dates, is_new, ~is_new, hash_order(records.keys[rows]))
    lesson = Lesson(*(records.labelled_part(rows[part]) for part in (plan.learn, plan.stop, plan.replay, plan.judging)))
    if min(lesson.learn.target.sum(), lesson.stop.target.sum()) < 1:
        return
    models = {
        "fine_tuned": fine_tune(player.model, lesson, options=FineTuningOptions()),
        "recalibrated": recalibrate(player.model, lesson),
    }
    player.trainings += 1
    judged = records.labelled_part(rows[np.concatenate([plan.judging, plan.old_judging])])
    judging, old = np.arange(len(plan.judging)), np.arange(len(plan.judging), len(judged))
    parts = Parts(judged.frame, judged.target, judging, old, plan.learned_date, plan.judging_date, {})
    measured = Measured(parts, lambda: None)
    challengers = [
        Challenger(
            name,
            name,
            model,
            {},
            judge_challenger(
                gather_evidence(parts, measured, player.model, model, SCALE, canary_mismatches=0), POLICY.gate
            ),
        )
        for name, model in models.items()
    ]
    winner = next(
        (
            one
            for one in prefer_one(challengers, parts, measured, POLICY.gate.confidence)
            if one.judgement.outcome is Outcome.PROMOTE
        ),
        None,
    )
    for one in challengers:
        print(f"    slice {number}: {one.name}: {one.judgement.outcome}: {one.judgement.reason}", flush=True)
    if winner is not None:
        player.model = _saved(winner.model, folder)
        player.reference = histogram_of(SCALE.points_of(winner.model.reference_probabilities))
        player.learned_slice = int(records.slices[int(plan.learned_date) * RECORDS_A_DAY])
        player.promotions += 1
        player.failures, player.promoted_slice = 0, number


def _saved(model: TrainedModel, folder: str) -> LoadedModel:
    return load_bundle(folder, save_bundle(model, folder))


def _figures(records: Records, player: Player) -> dict[str, Any]:
    target, found = records.target[records.slices >= 0], np.concatenate(player.probabilities)
    by_slice = [
        roc_auc_score(records.target[records.rows_of(number)], player.probabilities[number]) for number in range(SLICES)
    ]
    return {
        "roc_auc": float(roc_auc_score(target, found)),
        "mean_slice_roc_auc": float(np.mean(by_slice)),
        "brier": float(brier_score_loss(target, found)),
        "log_loss": float(log_loss(target, found)),
        "trainings": player.trainings,
        "promotions": player.promotions,
        "alarms": sum(one is Verdict.DRIFTED for one in player.verdicts),
        "seconds": round(player.seconds, 1),
    }


def main(path: Path) -> None:
    if not path.exists():
        sys.exit(f"skipped: {path} is not there; name the file as the argument")
    records = read_records(path)
    with tempfile.TemporaryDirectory() as folder:
        model, reference = train_on(records, records.rows_of(-1), folder)
        policies: dict[str, Callable[[Player, int], None]] = {
            "never": never,
            f"every {EVERY_SLICES} slices": every_few(records, folder),
            "the loop": the_loop(records, folder),
            "at every alarm": at_every_alarm(records, folder),
        }
        results: dict[str, Any] = {}
        for name, act in policies.items():
            results[name] = play(records, Player(model, reference), act)
            print(name, results[name], flush=True)
    settings = {"rows": len(records.target), "first_rows": FIRST_ROWS, "slices": SLICES, "epochs": EPOCHS}
    print(write_report("retraining_policies", {"settings": settings, "policies": results}))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DATA)
