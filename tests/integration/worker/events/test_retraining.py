"""A champion that reads events is trained on and retrained by models that read events too."""

import pytest
from sqlalchemy import Engine

from db.connections.engine import opened_engine
from db.ledger.job_lifecycle import Job, JobRequest, get_job, submit_job
from db.portfolios.catalog import save_portfolio
from db.registry.versions import get_model
from db.retraining.outcomes import load_outcomes
from db.schema.states import FailureCause, JobKind, JobState, JobTask
from scheduler.loop.shard_planning import plan_queued_jobs
from tests.integration.worker.events.conftest import Trained
from tests.integration.worker.events.event_book import BOOK, definition, fill, train, worker
from transformer.bundles.bundle import load_bundle
from worker.gate.preference import REFIT
from worker.runtime.context import WorkerContext
from worker.runtime.portfolio_mapping import schema_of
from worker.training.next_job import train_next_job
from worker.training.retrain_job import WANTED

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]  # they train

OLD = 100


def start(engine: Engine, trained: Trained) -> WorkerContext:
    """Most outcomes came after the training, on four days."""
    is_new = trained.frame["id"].astype(int) > OLD
    fill(engine, trained.frame.assign(bad=trained.frame["bad"].mask(is_new)), trained.events)
    trained.add_model(engine)
    known = trained.frame[is_new]
    rows = [(str(key), int(bad), f"2026-11-0{1 + key % 4}") for key, bad in zip(known["id"], known["bad"], strict=True)]
    load_outcomes(engine, BOOK, rows, who="test")
    return worker(engine, trained.home)


def retrain(context: WorkerContext, wanted: str = "fine_tuned") -> Job:
    asked = {WANTED: [wanted], "epochs": 1}
    job_id = submit_job(context.engine, JobRequest(JobKind.TRAINING, BOOK, "test", asked, task=JobTask.FINE_TUNE))
    plan_queued_jobs(context.engine)
    assert train_next_job(context)
    return get_job(context.engine, job_id)


def test_the_challenger_of_a_retraining_reads_the_champions_aggregates(postgres_url: str, trained: Trained) -> None:
    with opened_engine(postgres_url) as engine:
        _retrain_and_compare(engine, trained)


def _retrain_and_compare(engine: Engine, trained: Trained) -> None:
    context = start(engine, trained)
    job = retrain(context)
    assert job.state is JobState.DONE, job.detail
    assert job.model_version not in (None, trained.model.version)
    assert get_model(engine, str(job.model_version)).parent_version == trained.model.version
    url = context.settings.bundles_url
    made, before = load_bundle(url, str(job.model_version)), load_bundle(url, trained.model.version)
    assert made.schema == before.schema
    assert made.schema.event_fields


@pytest.mark.slow  # it trains in full
def test_a_refit_chooses_its_aggregates_anew(sqlite_engine: Engine, trained: Trained) -> None:
    context = start(sqlite_engine, trained)
    job = retrain(context, REFIT)
    assert job.state is JobState.DONE, job.detail
    assert job.model_version not in (None, trained.model.version)
    made = load_bundle(context.settings.bundles_url, str(job.model_version))
    assert made.schema.without_aggregates == schema_of(definition())
    assert made.schema.event_fields


def test_a_retraining_without_the_champions_events_says_what_is_missing(
    sqlite_engine: Engine, trained: Trained
) -> None:
    context = start(sqlite_engine, trained)
    save_portfolio(sqlite_engine, definition(events=()), who="test")
    job = retrain(context)
    assert (job.state, job.cause) == (JobState.FAILED, FailureCause.SOURCE_UNREADABLE)
    assert "the model reads the events bookings, which the portfolio no longer has" in (job.detail or "")


def test_a_training_may_start_from_a_model_that_reads_events(sqlite_engine: Engine, trained: Trained) -> None:
    fill(sqlite_engine, trained.frame, trained.events)
    trained.add_model(sqlite_engine)
    job = train(worker(sqlite_engine, trained.home), **{"from": trained.model.version})
    assert job.state is JobState.DONE, job.detail
    assert get_model(sqlite_engine, str(job.model_version)).parent_version == trained.model.version
