"""The replay plays by the rules of the trigger: on random histories both ask for, promote and roll back the same."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, cast

import numpy as np
import pytest
from sqlalchemy import Engine, text

from db.connections.engine import writing
from db.ledger.job_lifecycle import JobRequest, cancel_job, get_job, submit_job
from db.monitoring.drift_reports import DriftReport, insert_report
from db.portfolios.retraining_policy import GatePolicy, RetrainingPolicy
from db.registry.champions import Decision, decide, find_champion, get_champion
from db.registry.versions import LearnedUntil, register_model
from db.retraining.outcomes import find_newest_id, load_outcomes
from db.retraining.retraining_state import change_retraining, lock_retraining
from db.retraining.vintages import MEASURED, Vintage, save_vintage
from db.schema.states import JobKind, JobTask, Trust, Verdict
from tests.building import BOOK, MODEL, book_definition, load_book
from worker.gate.judgement import Judgement, Outcome
from worker.gate.outcome_trust import measure_evidence
from worker.gate.preference import REFIT, Judged
from worker.monitoring.retraining_trigger import follow_outcomes, follow_up
from worker.replay.loop_player import Loop
from worker.replay.models import Model, Workshop
from worker.replay.past import FIRST, Floats, Past, Rows

FIRST_ROWS, NIGHT_ROWS, NIGHTS = 400, 200, 14
# No model is the worse one, and the race stays empty: what the rules ask for is compared, not what the gate measures.
POLICY = RetrainingPolicy(
    refresh=0.4,
    least_bad_outcomes=40,
    cool_down_nights=3,
    monthly_cap=2,
    probation_nights=2,
    gate=GatePolicy(least_bad=40),
)


@dataclass(frozen=True)
class History:
    """What happens, drawn from a seed: verdicts, probabilities and outcomes of each night, and what the gate says."""

    past: Past
    verdicts: list[Verdict]
    probabilities: list[np.ndarray]
    passes: list[bool]


_BELONG = text("UPDATE tidemark_outcomes SET scored_job_id = :job WHERE scored_job_id IS NULL")


def draw(seed: int) -> History:
    random = np.random.default_rng(seed)
    rows = FIRST_ROWS + NIGHTS * NIGHT_ROWS
    night = np.maximum((np.arange(rows) - FIRST_ROWS) // NIGHT_ROWS, FIRST)
    gaps = random.choice([1, 3, 30], NIGHTS, p=[0.5, 0.3, 0.2]) if seed % 2 else np.full(NIGHTS, 30)
    dates = [date(2026, 1, 1) + timedelta(days=int(one)) for one in np.cumsum(gaps)]
    late = int(random.integers(1, 4))  # nights until outcomes are known
    rates = np.where(random.random(NIGHTS) < 0.5, 0.3, 0.6)
    target = (random.random(rows) < np.where(night < 0, 0.3, rates[night])).astype(float)
    keys = np.array([str(one) for one in range(rows)], dtype=object)
    known = np.where(night < 0, 0, night + late)
    past = Past(cast(Any, None), target, keys, night, known, tuple(dates), cast(Any, None))
    kinds = [Verdict.STABLE, Verdict.WATCH, Verdict.DRIFTED]
    verdicts = [kinds[one] for one in random.choice(3, NIGHTS, p=[0.35, 0.25, 0.4])]
    probabilities = [np.clip(random.normal(0.3, 0.05, NIGHT_ROWS), 0.05, 0.95) for _ in range(NIGHTS)]
    return History(past, verdicts, probabilities, [bool(one) for one in random.random(200) < 0.6])


class Told(Workshop):
    """A workshop whose gate says what was drawn."""

    def __init__(self, history: History) -> None:
        super().__init__(history.past, POLICY)
        self.said, self.made = iter(history.passes), 0

    def score(self, model: Model, rows: Rows) -> Floats:
        """Every model says the same."""
        del model
        return np.full(len(rows), 0.3)

    def challenge(self, champion: Model, night: int, after: int, names: tuple[str, ...]) -> list[tuple[Judged, Model]]:
        del champion, after, names
        self.made += 1
        rows = self.past.rows_known(night)
        outcome = Outcome.PROMOTE if next(self.said) else Outcome.REFUSE
        model = Model(
            REFIT, cast(Any, f"m{self.made + 1}"), cast(Any, None), int(self.past.nights[rows].max()), len(rows)
        )
        return [(Judged(REFIT, REFIT, Judgement(outcome is Outcome.PROMOTE, "", {}, outcome)), model)]


def replayed(history: History) -> list[tuple[str, int]]:
    """After each step: the champion, and how many trainings there were."""
    workshop = Told(history)
    player = Loop(Model("trained", cast(Any, MODEL), cast(Any, None), FIRST, FIRST_ROWS), workshop)
    steps: list[tuple[str, int]] = []
    for night in range(NIGHTS):
        player.before(night)
        steps.append((str(player.champion.loaded), workshop.made))
        player.after(night, history.verdicts[night], history.probabilities[night])
        steps.append((str(player.champion.loaded), workshop.made))
    return steps


class Installation:
    """The same history with the trigger in the database; trainings end at once, as the gate was drawn."""

    def __init__(self, engine: Engine, history: History) -> None:
        self.engine, self.history, self.made, self.said = engine, history, 0, iter(history.passes)
        load_book(engine, range(4), retraining=POLICY)
        self.definition = book_definition(retraining=POLICY)
        self.jobs: list[int] = []
        self._register(MODEL, FIRST_ROWS, 0)

    def _register(self, version: str, records: int, outcome_id: int) -> None:
        with writing(self.engine) as connection:
            before = find_champion(connection, BOOK)
            register_model(
                connection, version=version, job_id=None, definition=self.definition, metrics={},
                reference={"points": {"500": 1}, "unscorable": 0}, learned_records=records,
                learned_until=LearnedUntil(outcome_id, "", ""),
            )  # fmt: skip
            against = None if before is None else before.version
            made = Decision(
                BOOK, version, against, promoted=True, reason="", figures={"made": "refit"}, decided_by="gate",
                job_id=None,
            )  # fmt: skip
            assert decide(connection, made, champion_before=before)

    def know(self, night: int) -> None:
        """Load, measure and trust the outcomes that are known before a night, and let the trigger follow."""
        past = self.history.past
        nights = np.unique(past.nights[(past.known == night) & (past.nights != FIRST)])
        for one in nights.tolist():
            rows, job_id = past.rows_of(one), self.jobs[one]
            told = [(str(past.keys[row]), int(past.target[row]), "2999-01-01") for row in rows]
            load_outcomes(self.engine, BOOK, told, who="test")
            evidence = measure_evidence(self.history.probabilities[one], past.target[rows])
            version = str(get_job(self.engine, job_id).model_version)
            with writing(self.engine) as connection:
                connection.execute(_BELONG, {"job": job_id})  # no scores are stored, by which the load would find it
                newest = find_newest_id(connection)
                figures = {
                    "expected_bad_rate": float(self.history.probabilities[one].mean()),
                    "roc_auc": evidence.auc, "expected_roc_auc": evidence.expected_auc,
                    MEASURED: {"newest_id": newest},
                }  # fmt: skip
                vintage = Vintage(job_id, BOOK, version, len(rows), evidence.bad, figures, trust=Trust.TRUSTED)
                save_vintage(connection, vintage.with_judged(evidence=evidence.to_document()))
        asked: int | None = None
        while asked is None or get_job(self.engine, asked).task is JobTask.WATCH:
            with writing(self.engine) as connection:
                asked = follow_outcomes(connection, self.definition)
            if asked is None:
                break
            self._end(asked)

    def score(self, night: int) -> None:
        """Score and monitor a night."""
        options = {"night": self.history.past.dates[night].isoformat()}
        champion = get_champion(self.engine, BOOK)
        assert champion is not None
        request = JobRequest(JobKind.SCORING, BOOK, "test", options, champion.version)
        job = get_job(self.engine, submit_job(self.engine, request))
        self.jobs.append(job.id)
        with writing(self.engine) as connection:
            report = DriftReport(BOOK, job.id, champion.version, self.history.verdicts[night], {})
            assert insert_report(connection, report)
            asked = follow_up(connection, job, report)
        if asked is not None:
            self._end(asked)

    def _end(self, job_id: int) -> None:
        """End a job as it ends itself: a training with the outcome that was drawn, a comparison without a rollback."""
        task = get_job(self.engine, job_id).task
        assert task in {JobTask.FINE_TUNE, JobTask.WATCH}
        cancel_job(self.engine, job_id, who="test")
        with writing(self.engine) as connection:
            lock_retraining(connection, BOOK)
            newest = find_newest_id(connection)
            if task is JobTask.WATCH:
                change_retraining(connection, BOOK, watched_outcome_id=newest)
                return
            self.made += 1
            records = FIRST_ROWS + self._count_known()
            change_retraining(connection, BOOK, tried_outcome_id=newest, tried_records=records)
        if next(self.said):
            self._register(f"m{self.made + 1}", records, newest)

    def _count_known(self) -> int:
        with self.engine.connect() as connection:
            return int(connection.exec_driver_sql("SELECT count(*) FROM tidemark_outcomes").scalar_one())


def lived(engine: Engine, history: History) -> list[tuple[str, int]]:
    installation = Installation(engine, history)
    steps: list[tuple[str, int]] = []
    for night in range(NIGHTS):
        installation.know(night)
        steps.append((_champion_of(engine), installation.made))
        installation.score(night)
        steps.append((_champion_of(engine), installation.made))
    return steps


def _champion_of(engine: Engine) -> str:
    champion = get_champion(engine, BOOK)
    assert champion is not None
    return champion.version


@pytest.mark.parametrize("seed", range(5))
def test_the_replay_and_the_trigger_do_the_same(engine: Engine, seed: int) -> None:
    history = draw(seed)
    expected = replayed(history)
    assert lived(engine, history) == expected
    assert expected[-1][1] > 0, "something happened"
