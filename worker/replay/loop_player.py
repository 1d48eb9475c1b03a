"""The loop on its way through a known past, by the rules of the trigger and the gate."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from db.portfolios.retraining_policy import WithoutOutcomes
from db.schema.states import Verdict
from transformer.errors import TrainingDataError
from transformer.evaluation.paired_differences import compare_brier
from worker.drift.expected_figures import expected_auc
from worker.gate.judgement import Outcome
from worker.gate.looks import SHARPEST, always_valid_reach
from worker.gate.outcome_deviation import Deviation, Level, find_deviation
from worker.gate.outcome_trust import measure_auc
from worker.gate.preference import FINE_TUNED, MOST_IN_RACE, RECALIBRATED, REFIT
from worker.gate.probation import Probation, is_taken_back
from worker.gate.retraining_rules import (
    Answer,
    Situation,
    answer_drift,
    count_in_month,
    is_calm,
    is_due_for_refresh,
)
from worker.replay.models import Model, Workshop
from worker.replay.past import FIRST, Floats

EVERY = (REFIT, FINE_TUNED, RECALIBRATED)


@dataclass
class _Runner:
    model: Model
    looks: int
    judged_bad: int


@dataclass
class Loop:
    """The loop: trigger, challengers, gate, race, probation, watch, cool-down and cap, as in the database."""

    champion: Model
    workshop: Workshop
    told: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    previous: Model | None = None
    first_night: int = 0  # that the champion scores
    race: list[_Runner] = field(default_factory=list[_Runner])
    tried_night: int = FIRST
    tried_records: int = 0
    failures: int = 0
    last_night: int | None = None
    stable_night: int = FIRST
    training_nights: list[int] = field(default_factory=list[int])
    scored: dict[int, Floats] = field(default_factory=dict[int, Floats])
    scorers: dict[int, Model] = field(default_factory=dict[int, Model])
    verdicts: dict[int, Verdict] = field(default_factory=dict[int, Verdict])

    def before(self, night: int) -> None:
        """Follow the outcomes: judge the race, watch the champion, answer outcomes that differ, refresh.

        The newest night is the one before, whose date is today's.
        """
        newest = night - 1
        deviation = find_deviation(self._levels(night))
        if newest >= 0:
            self._calm_down(newest, deviation, known_before=night)
        if not self._run_race(night):
            self._watch(night)
        if newest < 0:
            return
        told = find_deviation(self._levels(night)).told
        is_asked = False
        if told is not None:
            policy = replace(self.workshop.policy, without_outcomes=WithoutOutcomes.ALERT)
            is_asked = answer_drift(self._situation(newest, FIRST, known_before=night), policy)[0] is Answer.FINE_TUNE
        if is_asked:
            self._retrain(newest, FIRST, EVERY, f"outcomes differ: {told}", known_before=night)
        elif self._is_due(newest, known_before=night):
            self._retrain(newest, FIRST, (REFIT,), "outcomes have grown", known_before=night)

    def after(self, night: int, verdict: Verdict, probabilities: Floats) -> None:
        """Follow the night's verdict: roll back, forget alarms that are over, or retrain."""
        self.scored[night], self.scorers[night], self.verdicts[night] = probabilities, self.champion, verdict
        if verdict is Verdict.DRIFTED and is_taken_back(self._probation(night), self.workshop.policy):
            self._roll_back(night, "its first nights drifted", first_night=night + 1)
            self.failures, self.last_night = self.failures + 1, night
            return
        self._calm_down(night, find_deviation(self._levels(night)), known_before=night)
        if verdict is Verdict.STABLE:
            self.stable_night = night
        is_asked = False
        if verdict is Verdict.DRIFTED:
            situation = self._situation(night, self.stable_night, known_before=night)
            is_asked = answer_drift(situation, self.workshop.policy)[0] is Answer.FINE_TUNE
        if is_asked:
            self._retrain(night, self.stable_night, EVERY, "drifted", known_before=night)
        elif self._is_due(night, known_before=night):
            self._retrain(night, FIRST, (REFIT,), "outcomes have grown", known_before=night)

    def _calm_down(self, night: int, deviation: Deviation, *, known_before: int) -> None:
        past = self.workshop.past
        is_over = is_calm(
            self.verdicts[night],
            deviation,
            has_outcomes=bool((past.nights[past.rows_known(known_before)] != FIRST).any()),
            is_cool_down_over=self._since(night) >= self.workshop.policy.cool_down(self.failures),
        )
        self.failures = 0 if is_over else self.failures

    def _run_race(self, night: int) -> bool:
        past = self.workshop.past
        rows = past.rows_known(night)
        for one in list(self.race):
            later = rows[past.nights[rows] > one.model.learned_night]
            bad = int(past.target[later].sum())
            if bad - one.judged_bad < self.workshop.policy.gate.least_bad:
                continue
            judged = self.workshop.judge_again(self.champion, one.model, night, one.looks)
            if judged is None:
                continue
            one.looks, one.judged_bad = one.looks + bool(judged.judgement.figures["checks"]), bad
            self._note(night, one.model.made, judged.judgement.outcome, judged.judgement.reason)
            if judged.judgement.outcome is Outcome.PROMOTE:
                self._promote(one.model, night)
                return True
            if judged.judgement.outcome is Outcome.REFUSE:
                self.race.remove(one)
        return False

    def _watch(self, night: int) -> None:
        """Roll back a champion that later outcomes prove worse than the one before."""
        past, gate = self.workshop.past, self.workshop.policy.gate
        rows = past.rows_known(night)
        later = rows[past.nights[rows] > self.champion.learned_night]
        bad = float(past.target[later].sum())
        if self.previous is None or bad < gate.least_bad:
            return
        pair = [self.workshop.score(one, later) for one in (self.previous, self.champion)]
        loss = compare_brier(past.target[later], *pair, confidence=gate.confidence)
        loss = loss.reaching(always_valid_reach(bad / (SHARPEST * gate.least_bad), 1 - gate.confidence))
        if loss.low > 0:
            self._roll_back(night, "later outcomes prove it worse", first_night=night)
            self.failures += 1

    def _levels(self, night: int) -> list[Level]:
        """Return what became of the champion's own nights, newest first."""
        past = self.workshop.past
        levels: list[Level] = []
        for one in reversed([number for number, scorer in self.scorers.items() if scorer is self.champion]):
            rows = past.rows_of(one)
            is_known = past.known[rows] <= night
            if is_known.any():
                levels.append(_level_of(past.target[rows[is_known]], self.scored[one][is_known]))
        return levels

    def _situation(self, night: int, after: int, *, known_before: int) -> Situation:
        past = self.workshop.past
        rows = past.rows_known(known_before)
        new = rows[past.nights[rows] > max(self.champion.learned_night, self.tried_night, after)]
        return Situation(
            is_held=False,
            is_in_flight=False,
            has_challenger=False,
            nights_since_last=None if self.last_night is None else night - self.last_night,
            nights_since_training=self._since_training(night),
            days_since_last=0 if self.last_night is None else past.days(self.last_night, night),
            failures=self.failures,
            fine_tunings_this_month=self._this_month(night),
            new_bad_outcomes=int(past.target[new].sum()),
        )

    def _is_due(self, night: int, *, known_before: int) -> bool:
        past, policy = self.workshop.past, self.workshop.policy
        rows = past.rows_known(known_before)
        new = rows[past.nights[rows] > max(self.champion.learned_night, self.tried_night)]
        known = max(self.champion.learned_records, self.tried_records)
        is_due = is_due_for_refresh(
            policy,
            known=known,
            new=len(new),
            new_bad=int(past.target[new].sum()),
            nights_since_training=self._since_training(night),
        )
        return is_due and self._this_month(night) < policy.monthly_cap

    def _this_month(self, night: int) -> int:
        return count_in_month(self.workshop.past.days(one, night) for one in self.training_nights)

    def _since_training(self, night: int) -> int | None:
        return night - self.training_nights[-1] if self.training_nights else None

    def _since(self, night: int) -> int:
        last = self.last_night
        return 0 if last is None else max(night - last, self.workshop.past.days(last, night))

    def _probation(self, night: int) -> Probation:
        past = self.workshop.past
        known = int(past.nights[past.rows_known(night)].max(initial=FIRST))
        return Probation(
            has_previous=self.previous is not None,
            nights=night - self.first_night + 1,
            days=past.days(self.first_night, night),
            is_proven=True,
            was_moving=self.verdicts.get(self.first_night - 1, Verdict.STABLE) is not Verdict.STABLE,
            outcome_nights=None if known == FIRST else night - known,
            outcome_days=None if known == FIRST else past.days(known, night),
        )

    def _retrain(self, night: int, after: int, names: tuple[str, ...], why: str, *, known_before: int) -> None:
        """Retrain after a night, by the outcomes that are known before another one: the same, or the next."""
        self.training_nights.append(night)
        if names != (REFIT,):
            self.failures, self.last_night = self.failures + 1, night
        try:
            challengers = self.workshop.challenge(self.champion, known_before, after, names)
        except TrainingDataError as error:
            self._note(known_before, why, "failed", str(error))
            return
        past = self.workshop.past
        rows = past.rows_known(known_before)
        self.tried_night, self.tried_records = int(past.nights[rows].max()), len(rows)
        for judged, model in challengers:
            judgement = judged.judgement
            self._note(known_before, judged.name, judgement.outcome, f"{why}: {judgement.reason}")
            if judgement.outcome is Outcome.PROMOTE:
                self._promote(model, night + 1)
                return
        waiting = [
            _Runner(model, int(bool(one.judgement.figures.get("checks"))), 0)
            for one, model in challengers
            if one.judgement.outcome is Outcome.UNDECIDED
        ]
        self.race = [*waiting, *self.race][:MOST_IN_RACE]

    def _promote(self, model: Model, first_night: int) -> None:
        self.previous, self.champion, self.first_night = self.champion, model, first_night
        self.race = []

    def _roll_back(self, night: int, why: str, *, first_night: int) -> None:
        assert self.previous is not None, "asked for only with a model to go back to"
        self._note(night, self.champion.made, "rolled back", why)
        self.champion, self.previous, self.first_night = self.previous, None, first_night

    def _note(self, night: int, made: str, outcome: str, why: str) -> None:
        self.told.append({"night": night, "made": made, "outcome": str(outcome), "why": why})


def _level_of(target: Floats, probabilities: Floats) -> Level:
    count, bad, expected = len(target), int(target.sum()), float(probabilities.sum())
    if not 0 < bad < count:
        return Level(count, bad, expected)
    return Level(count, bad, expected, *measure_auc(target, probabilities), expected_auc(probabilities, np.ones(count)))
