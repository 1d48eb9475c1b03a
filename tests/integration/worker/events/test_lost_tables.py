"""An event table that is lost while a job runs fails the job as a lost source of records does, with its name."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine, text

from db.connections.engine import writing
from db.ledger.job_control import retry_job
from db.ledger.job_lifecycle import get_job
from db.ledger.shard_leases import count_shards
from db.portfolios.definition import Source
from db.portfolios.source_grants import put_grant, revoke_source
from db.schema.states import FailureCause, JobState
from tests.integration.worker.events.event_book import (
    BOOK,
    RECORDS,
    TABLE,
    score,
    scores_of,
    start_night,
    start_training,
    work_on,
)
from worker.runtime.context import WorkerContext
from worker.scoring.model_cache import ModelSlot
from worker.scoring.shard_scoring import score_next_shard
from worker.training.next_job import train_next_job

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]  # they need a model

HIDDEN = "hidden_bookings"


def _rename(engine: Engine, name: str, to: str) -> None:
    with writing(engine) as connection:
        connection.execute(text(f"ALTER TABLE {name} RENAME TO {to}"))


def _revoke(engine: Engine) -> None:
    revoke_source(engine, BOOK, TABLE, who="test")


def _grant(engine: Engine) -> None:
    with writing(engine) as connection:
        put_grant(connection, Source(BOOK, TABLE), who="test")


LOSSES: dict[str, tuple[Callable[[Engine], None], Callable[[Engine], None], str]] = {
    "dropped": (
        lambda engine: _rename(engine, TABLE, HIDDEN),
        lambda engine: _rename(engine, HIDDEN, TABLE),
        "tidemark load NAME EVENTS --events bookings",
    ),
    "revoked": (_revoke, _grant, "the source bookings is not granted to the portfolio customers"),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_table_lost_between_two_shards_fails_the_job_which_can_be_retried_when_it_is_back(
    context: WorkerContext, loss: str
) -> None:
    lose, give_back, said = LOSSES[loss]
    engine = context.engine
    expected = score(context)
    job_id = start_night(context)
    assert score_next_shard(context, ModelSlot(engine, context.settings.bundles_url))
    lose(engine)
    job = work_on(context, job_id)
    assert (job.state, job.cause, job.scored) == (JobState.FAILED, FailureCause.SOURCE_UNREADABLE, RECORDS // 4)
    assert said in (job.detail or "")
    assert f"the source {TABLE} " in (job.detail or "")
    give_back(engine)
    retry_job(engine, job_id, who="test")
    job = work_on(context, job_id)
    assert (job.state, job.digest) == (JobState.DONE, expected.digest), job.detail
    assert count_shards(engine, job_id) == {"done": 4}
    assert scores_of(engine, job) == scores_of(engine, expected)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_training_whose_event_table_is_lost_fails_with_its_name(context: WorkerContext, loss: str) -> None:
    lose, _, said = LOSSES[loss]
    job_id = start_training(context)
    lose(context.engine)
    while train_next_job(context):
        pass
    job = get_job(context.engine, job_id)
    assert (job.state, job.cause) == (JobState.FAILED, FailureCause.SOURCE_UNREADABLE), job.detail
    assert said in (job.detail or "")
