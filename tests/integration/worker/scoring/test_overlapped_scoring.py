"""Reading ahead and writing behind change when things happen, never what comes of them."""

from collections.abc import Callable
from dataclasses import replace
from threading import Event
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import select, update

from db.connections.clock import now_plus
from db.connections.engine import reading, writing
from db.ledger.job_lifecycle import cancel_job, get_job
from db.ledger.shard_leases import claim_ahead, count_shards
from db.results.verification import verify_job
from db.schema.core_tables import scores, shards
from db.schema.states import JobState
from tests.building import claim, start_scoring
from worker.runtime.context import WorkerContext
from worker.runtime.settings import WorkerSettings
from worker.scoring import overlapped_scoring
from worker.scoring.model_cache import ModelSlot
from worker.scoring.overlapped_scoring import work_on_shards

RECORDS, SHARD_ROWS = 200, 10
SHARDS = RECORDS // SHARD_ROWS


@pytest.fixture(autouse=True)
def _time_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is, a task ends because nothing waits, not because its time is over."""
    monkeypatch.setattr(overlapped_scoring, "GO_ON_SECONDS", 600.0)


def start(context: WorkerContext, slot: ModelSlot) -> int:
    (version,) = slot._scorers
    return start_scoring(context.engine, shard_rows=SHARD_ROWS, model_version=version).id


def work_to_the_end(context: WorkerContext, slot: ModelSlot, job_id: int) -> int:
    """Return how many tasks the job took."""
    tasks = 0
    while get_job(context.engine, job_id).is_open:
        work_on_shards(context, slot)
        tasks += 1
        assert tasks <= SHARDS
    return tasks


def watched(context: WorkerContext, look: Callable[[dict[str, int]], None], job_id: int) -> WorkerContext:
    """The same context, with a look at the shards' states between batches."""
    return replace(context, between_batches=lambda: look(count_shards(context.engine, job_id)))


def test_overlapped_shards_give_what_shards_in_turn_give(context: WorkerContext, slot: ModelSlot) -> None:
    in_turn = replace(context, settings=WorkerSettings(overlap=False))
    first, second = start(context, slot), start(context, slot)
    assert work_to_the_end(in_turn, slot, first) == SHARDS
    assert work_to_the_end(context, slot, second) == 1
    assert get_job(context.engine, second).digest == get_job(context.engine, first).digest
    assert verify_job(context.engine, second).problems == ()


def test_a_stop_gives_back_the_shard_that_was_read_ahead(context: WorkerContext, slot: ModelSlot) -> None:
    job_id = start(context, slot)

    def stop_when_two_are_held(states: dict[str, int]) -> None:
        if states.get("running", 0) > 1:
            raise SystemExit

    with pytest.raises(SystemExit):
        work_on_shards(watched(context, stop_when_two_are_held, job_id), slot)
    states = count_shards(context.engine, job_id)
    assert set(states) <= {"done", "waiting"}
    with reading(context.engine) as connection:
        charged = connection.execute(select(shards.c.attempt).where(shards.c.state == "waiting")).scalars().all()
    assert set(charged) == {0}


def test_a_shard_that_was_tried_before_is_worked_on_alone(context: WorkerContext, slot: ModelSlot) -> None:
    job_id, held = start(context, slot), list[int]()
    with writing(context.engine) as connection:
        connection.execute(update(shards).values(attempt=1))
    together = watched(context, lambda states: held.append(states.get("running", 0)), job_id)
    assert work_to_the_end(together, slot, job_id) == 1
    assert set(held) <= {0, 1}


def test_nothing_is_written_of_shards_whose_job_is_cancelled(context: WorkerContext, slot: ModelSlot) -> None:
    job_id = start(context, slot)

    def cancel_once(states: dict[str, int]) -> None:
        if states.get("running", 0) > 1:
            cancel_job(context.engine, job_id, who="test")

    work_on_shards(watched(context, cancel_once, job_id), slot)
    with reading(context.engine) as connection:
        written = connection.execute(select(scores.c.shard_id).distinct()).all()
    assert get_job(context.engine, job_id).state is JobState.CANCELLED
    assert len(written) == count_shards(context.engine, job_id).get("done", 0) < SHARDS


@pytest.mark.parametrize("busy", [0, 1, 3])
def test_a_shard_is_left_for_each_worker_that_is_busy(context: WorkerContext, slot: ModelSlot, busy: int) -> None:
    start(context, slot)
    for number in range(busy):
        for _ in range(2):  # however many each holds
            claim(context.engine, worker=f"busy-{number}")
    ahead = 0
    while claim_ahead(context.engine, "scoring", worker="w1", lease_seconds=60) is not None:
        ahead += 1
    assert ahead == SHARDS - 2 * busy - busy
    if busy:
        assert claim(context.engine).ordinal == 2 * busy + ahead, "any other claim takes those that are left"


def test_the_last_shards_are_read_while_the_one_before_is_written(
    context: WorkerContext, slot: ModelSlot, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = start(context, slot)
    for _ in range(SHARDS - 2):
        claim(context.engine, worker="busy")  # so that none is claimed ahead
    second_was_read, seen, reads = Event(), list[bool](), list[Any]()
    read, write = overlapped_scoring.read_claimed, overlapped_scoring.write_claimed

    def read_noted(*given: Any) -> pd.DataFrame:
        reads.append(read(*given))
        if len(reads) == 2:
            second_was_read.set()
        return reads[-1]

    def write_after_the_next_was_read(*given: Any, **more: Any) -> None:
        seen.append(second_was_read.wait(20))
        write(*given, **more)

    monkeypatch.setattr(overlapped_scoring, "read_claimed", read_noted)
    monkeypatch.setattr(overlapped_scoring, "write_claimed", write_after_the_next_was_read)
    work_on_shards(context, slot)
    assert seen == [True, True]
    assert count_shards(context.engine, job_id) == {"done": 2, "running": SHARDS - 2}


def test_a_shard_that_waits_for_its_next_attempt_is_not_claimed_ahead(context: WorkerContext, slot: ModelSlot) -> None:
    start(context, slot)
    with writing(context.engine) as connection:
        connection.execute(update(shards).where(shards.c.ordinal == 0).values(attempt=1, available_at=now_plus(-1)))
    claimed = claim_ahead(context.engine, "scoring", worker="w1", lease_seconds=60)
    assert claimed is not None
    assert claimed.ordinal == 1
