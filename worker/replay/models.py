"""The models of a replay: how they are fitted and judged, by the functions that the workers use."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from db.portfolios.retraining_policy import RetrainingPolicy
from transformer.bundles.bundle import LoadedModel, load_bundle, save_bundle
from transformer.bundles.trained_model import TrainedModel
from transformer.errors import TrainingDataError
from transformer.records.splitting import hash_order
from transformer.scoring.points import ScoreScale
from transformer.training.fine_tuning import Lesson, fine_tune, probabilities_of, recalibrate
from transformer.training.model_training import TrainingOptions, train_model
from worker.drift import Histogram
from worker.gate.evidence import Measured, Parts, gather_evidence
from worker.gate.exam import histogram_of
from worker.gate.judgement import judge_challenger
from worker.gate.preference import FINE_TUNED, RECALIBRATED, REFIT, Floats, Judged, is_worth_making, prefer_one
from worker.learning.lesson_plan import NO_ROWS, OLD_JUDGING_SHARE, TrainingPlan, plan_training
from worker.replay.past import Past, Rows


@dataclass(frozen=True)
class Model:
    """A model of the replay, and what it has learned from: nights up to `learned_night`, so many records."""

    made: str
    loaded: LoadedModel
    reference: Histogram
    learned_night: int
    learned_records: int


@dataclass
class Workshop:
    """Fits and judges models. `trainings` counts the fits; a recalibration is none."""

    past: Past
    policy: RetrainingPolicy
    scale: ScoreScale = field(default_factory=ScoreScale)
    training: TrainingOptions = field(default_factory=TrainingOptions)
    beat: Callable[[], None] = lambda: None
    trainings: int = 0

    def train(self, rows: Rows, *, learned_night: int) -> Model:
        """Train as `tidemark train` does."""
        model = train_model(self.past.book(rows), self.past.schema, options=self.training, on_batch=self.beat)
        self.trainings += 1
        return self._model("trained", model, learned_night, len(rows))

    def challenge(self, champion: Model, night: int, after: int, names: tuple[str, ...]) -> list[tuple[Judged, Model]]:
        """Make challengers from what is known before a night, and judge them; the preferred one comes first.

        Outcomes of nights after `after` that the champion has not learned from are new. Raises `TrainingDataError`.
        """
        past, rows = self.past, self.past.rows_known(night)
        is_new = past.nights[rows] > max(champion.learned_night, after)
        dates = np.array([f"{one + 1:06d}" for one in past.known[rows]])
        plan = plan_training(dates, is_new, ~is_new, hash_order(past.keys[rows]))
        parts = self._parts(rows, plan)
        measured = Measured(parts, self.beat)
        found: dict[str, tuple[Judged, Model]] = {}
        seen: dict[str, Floats] = {}
        newest = int(past.nights[rows].max())
        for name in names:
            if not is_worth_making(name, {one: judged.judgement.outcome for one, (judged, _) in found.items()}):
                continue
            made = self._make(name, champion, rows, plan)
            if made is None:
                continue
            model, judged = made
            evidence = gather_evidence(
                *(parts, measured, champion.loaded, model, self.scale),
                judged=judged,
                canary_mismatches=0,
                cut_off=self.policy.cut_off,
                is_refit=name == REFIT,
            )
            seen[name] = evidence.judging.challenger
            judgement = judge_challenger(evidence, self.policy.gate)
            learned = newest if name == REFIT else int(past.nights[rows[plan.stop]].max())
            held = self._model(name, model, learned, len(rows))
            found[name] = Judged(name, name, judgement), held
        judging = parts.target[parts.judging]
        order = prefer_one([one for one, _ in found.values()], judging, seen, self.policy.gate.confidence)
        return [(one, found[one.name][1]) for one in order]

    def judge_again(self, champion: Model, challenger: Model, night: int, looks: int) -> Judged | None:
        """Judge a challenger in the race by all that came after it; None without any of it."""
        past, rows = self.past, self.past.rows_known(night)
        is_later = past.nights[rows] > challenger.learned_night
        if not is_later.any():
            return None
        is_refit = challenger.made == REFIT
        order = hash_order(past.keys[rows])
        old = NO_ROWS if is_refit else np.flatnonzero(~is_later & (order < OLD_JUDGING_SHARE))
        plan = TrainingPlan(NO_ROWS, NO_ROWS, np.flatnonzero(is_later), NO_ROWS, old, "0", "1")
        parts = self._parts(rows, plan)
        evidence = gather_evidence(
            *(parts, Measured(parts, self.beat), champion.loaded, challenger.loaded, self.scale),
            canary_mismatches=0,
            cut_off=self.policy.cut_off,
            is_refit=is_refit,
            looks=looks,
        )
        return Judged(challenger.made, challenger.made, judge_challenger(evidence, self.policy.gate))

    def score(self, model: Model, rows: Rows) -> Floats:
        """Return the probabilities of some records."""
        return probabilities_of(model.loaded, self.past.frame(rows))

    def _make(
        self, name: str, champion: Model, rows: Rows, plan: TrainingPlan
    ) -> tuple[TrainedModel, Floats | None] | None:
        past = self.past
        judging = rows[plan.judging]
        lesson = Lesson(*(past.material(rows[one]) for one in (plan.learn, plan.stop, plan.replay, plan.judging)))
        both = bool(min(lesson.learn.target.sum(), lesson.stop.target.sum()) >= 1)
        if name == RECALIBRATED:
            return (recalibrate(champion.loaded, lesson), None) if both else None
        if name == FINE_TUNED:
            self.trainings += both
            return (fine_tune(champion.loaded, lesson, on_batch=self.beat), None) if both else None
        if not len(judging):
            return None
        how = TrainingOptions(quick=self.training.quick, learn_held_out=True)
        self.trainings += 1
        try:
            model = train_model(past.book(rows, held_out=judging), past.schema, options=how, on_batch=self.beat)
        except TrainingDataError:
            return None
        place = {key: number for number, key in enumerate(model.holdout_keys.tolist())}
        return model, model.reference_probabilities[[place[key] for key in past.keys[judging].tolist()]]

    def _parts(self, rows: Rows, plan: TrainingPlan) -> Parts:
        both = rows[np.concatenate([plan.judging, plan.old_judging])]
        judging, old = np.arange(len(plan.judging)), np.arange(len(plan.judging), len(both))
        dates = (plan.learned_date, plan.judging_date)
        return Parts(self.past.frame(both), self.past.target[both], judging, old, *dates, {}, is_random=plan.is_random)

    def _model(self, made: str, model: TrainedModel, learned_night: int, learned_records: int) -> Model:
        with tempfile.TemporaryDirectory() as folder:
            loaded = load_bundle(folder, save_bundle(model, folder))
        reference = histogram_of(self.scale.points_of(model.reference_probabilities))
        return Model(made, loaded, reference, learned_night, learned_records)
