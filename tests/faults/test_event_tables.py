"""Event tables that change, disappear, are empty or are held by one record, while a job runs."""

import resource

import pytest
from sqlalchemy import Engine, text

from db.connections.engine import writing
from db.ledger.job_lifecycle import get_job
from db.schema.states import FailureCause, JobState
from db.sources.event_loading import EventLoadMode
from tests.faults.matrix import Matrix
from tests.integration.worker.events.conftest import Trained, context, engine, trained
from tests.integration.worker.events.event_book import (
    RECORDS,
    TABLE,
    add_events,
    late_events,
    score,
    scores_of,
    start_night,
    work_on,
)
from worker.records import event_reading
from worker.runtime.context import WorkerContext
from worker.scoring.model_cache import ModelSlot
from worker.scoring.shard_scoring import score_next_shard

__all__ = ["context", "engine", "trained"]  # fixtures

pytestmark = [pytest.mark.long, pytest.mark.timeout(300), pytest.mark.fault(19)]

MANY, BUSY, MOST_KILOBYTES = 10_000_000, 200, 1_500_000


def test_events_that_arrive_while_a_shard_is_read_are_seen_by_the_next_shard(
    context: WorkerContext, trained: Trained, monkeypatch: pytest.MonkeyPatch, matrix: Matrix
) -> None:
    before = scores_of(context.engine, score(context))
    moments_of, arrived = event_reading.moments_of, []

    def arrive(*given: object) -> object:
        """Commit events for every record after the shard's records were read, and before its events are."""
        if not arrived:
            arrived.append(late_events(trained.frame, microseconds=0))
            add_events(context.engine, arrived[0])
        return moments_of(*given)

    monkeypatch.setattr(event_reading, "moments_of", arrive)
    job_id = start_night(context)
    assert score_next_shard(context, ModelSlot(context.engine, context.settings.bundles_url))
    job = work_on(context, job_id)
    now = scores_of(context.engine, job)
    assert (job.state, len(now)) == (JobState.DONE, RECORDS)
    first = [str(key) for key in sorted(trained.frame["id"])[: RECORDS // 4]]
    assert {key: now[key] for key in first} == {key: before[key] for key in first}
    assert sum(now[key] != before[key] for key in set(before) - set(first)) > RECORDS / 2
    matrix.note(injected=1, what="events that arrive while a shard is read")


def test_a_table_that_disappears_in_mid_job_is_named_by_the_first_attempt(
    context: WorkerContext, matrix: Matrix
) -> None:
    job_id = start_night(context)
    slot = ModelSlot(context.engine, context.settings.bundles_url)
    assert score_next_shard(context, slot)
    with writing(context.engine) as connection:
        connection.execute(text(f"DROP TABLE {TABLE}"))
    assert score_next_shard(context, slot)
    job = get_job(context.engine, job_id)
    assert (job.state, job.cause) == (JobState.FAILED, FailureCause.SOURCE_UNREADABLE)
    assert f"the source {TABLE} is neither a table nor a view" in (job.detail or "")
    matrix.note(injected=1, what="an event table dropped in mid-job")


def test_a_table_that_is_replaced_in_mid_job_is_read_on(
    context: WorkerContext, trained: Trained, matrix: Matrix
) -> None:
    expected = score(context)
    job_id = start_night(context)
    assert score_next_shard(context, ModelSlot(context.engine, context.settings.bundles_url))
    add_events(context.engine, trained.events, EventLoadMode.REPLACE)
    job = work_on(context, job_id)
    assert (job.state, job.digest) == (JobState.DONE, expected.digest)
    matrix.note(injected=1, what="an event table replaced in mid-job")


def test_an_empty_table_is_scored(context: WorkerContext, matrix: Matrix) -> None:
    add_events(context.engine, [], EventLoadMode.REPLACE)
    job = score(context)
    assert (job.state, job.scored) == (JobState.DONE, RECORDS)
    matrix.note(injected=1, what="an empty event table")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_ten_million_events_of_one_record_take_bounded_memory_and_change_no_other_score(
    context: WorkerContext, matrix: Matrix
) -> None:
    before = scores_of(context.engine, score(context))
    _fill_one_record(context.engine)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    job = score(context)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak
    now = scores_of(context.engine, job)
    assert (job.state, job.scored) == (JobState.DONE, RECORDS)
    assert {key for key in before if now[key] != before[key]} == {str(BUSY)}
    assert grown < MOST_KILOBYTES
    matrix.note(injected=1, what=f"10 M events of one record, {grown / 1000:,.0f} MB more")


def _fill_one_record(engine: Engine) -> None:
    """Give one record ten million events, all before its moment."""
    series = (
        f"generate_series(1, {MANY}) AS every(n)"
        if engine.dialect.name == "postgresql"
        else f"(WITH RECURSIVE every(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM every WHERE n < {MANY}) "
        "SELECT n FROM every)"
    )
    with writing(engine) as connection:
        columns = f"id, at, kind, amount, tidemark_row) SELECT {BUSY}, '2026-09-01T00:00:00.000000', 'cash', n, n"
        connection.execute(text(f"INSERT INTO {TABLE} ({columns} FROM {series}"))
