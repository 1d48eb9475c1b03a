"""From a drifted night to decisions: the whole job in this process, on real tables and a real network."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine

from db.connections.engine import opened_engine, writing
from db.ledger.job_lifecycle import Job, JobRequest, get_job, list_jobs, submit_job
from db.migrations.upgrade import prepare_database
from db.monitoring.drift_reports import DriftReport, insert_report
from db.portfolios.catalog import save_portfolio
from db.portfolios.definition import FieldDefinition, FieldKind, PortfolioDefinition
from db.portfolios.retraining_policy import GatePolicy, RetrainingPolicy
from db.registry.champions import find_champion, get_champion, list_decisions
from db.registry.versions import get_model, list_models
from db.retraining.outcomes import load_outcomes
from db.retraining.promotion import promote_version
from db.retraining.retraining_state import lock_retraining
from db.schema.states import JobKind, JobState, ModelState, Verdict
from db.settings import DatabaseSettings
from db.sources.loading import load_records
from scheduler.loop.shard_planning import plan_queued_jobs
from scheduler.reports.decision_pages import write_decision_page
from tests.unit.transformer.books import FIELDS, make_book
from transformer.bundles.manifest import load_card
from worker.monitoring.retraining_trigger import follow_outcomes, follow_up
from worker.runtime.context import WorkerContext, open_context
from worker.runtime.settings import WorkerSettings
from worker.training.next_job import train_next_job

pytestmark = [pytest.mark.timeout(900), pytest.mark.long]  # they train several times

BOOK = "book"
OLD, NEW = 400, 500
MANY_BAD = 60  # more than two fifths of the bad ones among 250 outcomes, fewer than all among 500


def definition(least_bad: int = 10) -> PortfolioDefinition:
    kinds = {"numeric": FieldKind.NUMERIC, "categorical": FieldKind.CATEGORICAL}
    names = [*((one.name, one.kind) for one in FIELDS), *((f"delay_{step}", "numeric") for step in range(4))]
    fields = tuple(FieldDefinition(name, kinds[kind]) for name, kind in names)
    gate = GatePolicy(
        least_bad=least_bad,
        least_speed=0,
        largest_points_psi=100,
        least_calibration_slope=0.1,
        largest_calibration_slope=10,
    )
    policy = RetrainingPolicy(gate=gate, least_bad_outcomes=20)
    return PortfolioDefinition(BOOK, "A book", BOOK, "id", "bad", fields=fields, retraining=policy)


@pytest.fixture
def context(tmp_path: Path) -> Iterator[WorkerContext]:
    """A worker on a database with old records of known outcome, and new ones whose outcome is not known yet."""
    url = f"sqlite:///{tmp_path / 'tidemark.db'}"
    with opened_engine(url) as engine:
        prepare_database(engine)
        save_portfolio(engine, definition(), who="test")
        frame, target, _ = make_book(OLD + NEW)
        frame = frame[list(definition().input_columns)]
        frame.insert(0, "id", np.arange(1, OLD + NEW + 1).astype(object))
        # The old outcomes were chance, so that the first model knows next to nothing and every later one is better.
        chance = (np.random.default_rng(3).random(OLD + NEW) < target.mean()).astype(float)
        frame.insert(1, "bad", np.where(np.arange(OLD + NEW) < OLD, chance, np.nan))
        load_records(engine, definition(), [frame.assign(tidemark_unreadable=None)], key_type="integer", who="test")
        settings = WorkerSettings(home=tmp_path, heartbeat_seconds=5)
        with closing(open_context(settings, DatabaseSettings(database_url=url))) as opened:
            yield opened


def run(context: WorkerContext, request: JobRequest) -> Job:
    job_id = submit_job(context.engine, request)
    return work(context, job_id)


def train_first(context: WorkerContext) -> str:
    """The first model learns from chance, so the gate refuses it; a person makes it the champion all the same."""
    job = run(context, JobRequest(JobKind.TRAINING, BOOK, "test", {"epochs": 1, "trees": False}))
    assert job.model_version is not None
    assert (job.result or {})["refused_for"] == "chance", job.result
    promote_version(context.engine, job.model_version, who="test", why="something to begin with")
    return job.model_version


def work(context: WorkerContext, job_id: int) -> Job:
    plan_queued_jobs(context.engine, shard_rows=100)
    assert train_next_job(context)
    job = get_job(context.engine, job_id)
    assert job.state is JobState.DONE, job.detail
    return job


def load_new_outcomes(engine: Engine, *, upto: int = NEW, day: str | None = None, turned: bool = False) -> None:
    """Outcomes of the new records, known on four days or on one; `turned` round, as in another world."""
    _, target, _ = make_book(OLD + NEW)
    rows = [
        (
            str(key),
            int(target[key - 1] != turned),
            day or f"2026-02-{1 + (key - OLD - 1) * 4 // NEW * (upto == NEW):02d}",
        )
        for key in range(OLD + 1, OLD + upto + 1)
    ]
    load_outcomes(engine, BOOK, rows, who="test")


def drift(engine: Engine, version: str) -> int | None:
    night = get_job(engine, submit_job(engine, JobRequest(JobKind.SCORING, BOOK, "test", {}, version)))
    report = DriftReport(BOOK, night.id, version, Verdict.DRIFTED, {})
    with writing(engine) as connection:
        return follow_up(connection, night, report) if insert_report(connection, report) else None


def test_a_drifted_book_gets_a_better_champion_whose_refit_is_decided_on(context: WorkerContext) -> None:
    engine = context.engine
    first = train_first(context)
    assert drift(engine, first) is None, "nothing to learn from yet"
    load_new_outcomes(engine)
    asked = drift(engine, first)
    assert asked is not None
    job = work(context, asked)

    champion = get_champion(engine, BOOK)
    assert champion is not None
    assert (job.result or {})["promoted"] is True, job.result
    assert champion.version == job.model_version != first
    model = get_model(engine, champion.version)
    assert (model.parent_version, model.state) == (first, ModelState.CHAMPION)
    winner = next(one for one in list_decisions(engine, BOOK) if one.promoted)
    learned_until = "2026-02-04" if winner.figures["made"] == "refit" else "2026-02-02"
    assert model.learned_until.outcome_date == learned_until, "a refit learns from what judged it too, afterwards"
    assert get_model(engine, first).state is ModelState.RETIRED
    with writing(engine) as connection:
        assert lock_retraining(connection, BOOK).failures == 1, "only outcomes of the new model end the alarms"
    made = {one.figures["made"]: one for one in list_decisions(engine, BOOK) if one.figures.get("job") == job.id}
    assert set(made) == {"refit"}, "it passed, so nothing else was made"
    assert "held-out" in load_card(context.settings.bundles_url, champion.version)["card.md"].decode()
    assert [one.state for one in list_models(engine, BOOK)].count(ModelState.CHAMPION) == 1
    page = write_decision_page(made["refit"])
    assert "ROC AUC" in page
    assert "calibration_slope" in page

    # The same drift does not train again: its outcomes were used, and the cool-down has begun.
    with writing(engine) as connection:
        assert find_champion(connection, BOOK) == champion
    assert drift(engine, first) is None
    assert len(list_jobs(engine, kind=JobKind.FINE_TUNING)) == 1


def test_a_challenger_that_lacked_evidence_is_judged_again_and_a_worse_champion_is_taken_back(
    context: WorkerContext,
) -> None:
    """The first outcomes are too few to judge by. Then more come, then worse ones."""
    engine = context.engine
    first = train_first(context)
    save_portfolio(engine, definition(MANY_BAD), who="test")
    load_new_outcomes(engine, upto=250)
    asked = drift(engine, first)
    assert asked is not None
    job = work(context, asked)
    waiting = [one.version for one in list_models(engine, BOOK) if one.state is ModelState.CHALLENGER]
    assert job.model_version in waiting

    load_new_outcomes(engine, day="2026-02-09")
    again = outcomes_came(engine)
    assert again is not None
    assert get_job(engine, again).task == "gate"
    judged = work(context, again)
    assert (judged.result or {})["promoted"] is True, judged.result
    champion = get_champion(engine, BOOK)
    assert champion is not None
    assert champion.version != first

    load_new_outcomes(engine, day="2026-02-20", turned=True)
    watch = outcomes_came(engine)
    assert watch is not None
    assert get_job(engine, watch).task == "watch"
    watched = work(context, watch).result or {}
    assert watched["rolled_back"] is True, watched
    taken_back = get_champion(engine, BOOK)
    assert taken_back is not None
    assert taken_back.version == first
    assert list_decisions(engine, BOOK)[0].decided_by == "watch"


def outcomes_came(engine: Engine) -> int | None:
    with writing(engine) as connection:
        return follow_outcomes(connection, definition(MANY_BAD))
