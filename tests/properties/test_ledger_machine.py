"""The ledger under any order of claims, deaths, recoveries and people: a state machine looks for a way to break it.

Time passes by ending leases in the database, whose clock alone decides.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Engine, event, func, select, text, update

from db.clock import now_plus
from db.closing import fail_shard
from db.engine import open_engine, reading, writing
from db.errors import LeaseLostError, StateConflictError
from db.job_control import pause_job, resume_job, retry_job
from db.jobs import Job, cancel_job, get_job
from db.scores import complete_scored_shard
from db.shards import Claim, claim_shard, give_back, renew_lease, retry_later
from db.states import JOB_MOVES, SHARD_MOVES, JobState, ShardState
from db.tables import scores, shards
from db.upgrade import prepare_database
from db.verification import verify_job
from scheduler.recovery import sweep
from tests.building import add_model, load_book, result_for, start_scoring

RECORDS = 12
ATTEMPTS = 2
EXAMPLES = int(os.environ.get("TIDEMARK_TEST_EXAMPLES", "2000"))
OPEN_SHARDS = (ShardState.WAITING, ShardState.RUNNING)
picks = st.integers(0, 1000)


class Ledger(RuleBasedStateMachine):
    """One job of four shards, any number of workers, one person, one scheduler."""

    engine: Engine

    @initialize()
    def submit(self) -> None:
        """Begin with a fresh job."""
        self.job_id = start_scoring(self.engine, shard_rows=3).id
        self.claims: list[Claim] = []
        self.job_state, self.shard_states = JobState.RUNNING, self._shard_states()

    @rule()
    def claim(self) -> None:
        """A worker claims a shard of this job."""
        claimed = claim_shard(self.engine, "scoring", worker="w", lease_seconds=60)
        if claimed is not None and claimed.job.id == self.job_id:
            self.claims.append(claimed)

    @precondition(lambda self: self.claims)
    @rule(pick=picks)
    def renew(self, pick: int) -> None:
        """A worker's batch loop is alive."""
        claimed = self._pick(pick)
        self._as_holder(claimed, lambda: renew_lease(self.engine, claimed, lease_seconds=60))

    @precondition(lambda self: self.claims)
    @rule(pick=picks, rejected=st.integers(0, 1))
    def complete(self, pick: int, rejected: int) -> None:
        """A worker writes what it scored, perhaps long after it lost its lease."""
        claimed = self._pick(pick)
        result = result_for(self.engine, claimed, rejected=rejected)
        self._as_holder(claimed, lambda: complete_scored_shard(self.engine, claimed, result, worker="w"))

    @precondition(lambda self: self.claims)
    @rule(pick=picks)
    def stop_cleanly(self, pick: int) -> None:
        """A worker is told to stop and gives its shard back."""
        claimed = self._pick(pick)
        holds = self._holds(claimed)
        assert give_back(self.engine, claimed, worker="w") == holds

    @precondition(lambda self: self.claims)
    @rule(pick=picks)
    def stumble(self, pick: int) -> None:
        """A worker has an error and lets the shard wait."""
        claimed = self._pick(pick)
        self._as_holder(claimed, lambda: retry_later(self.engine, claimed, "error", delay_seconds=0, worker="w"))

    @precondition(lambda self: self.claims)
    @rule(pick=picks)
    def fail(self, pick: int) -> None:
        """A worker had its last attempt."""
        claimed = self._pick(pick)
        self._as_holder(claimed, lambda: fail_shard(self.engine, claimed, "error", worker="w"))

    @rule(never_written=st.booleans())
    def let_time_pass(self, never_written: bool) -> None:
        """Every lease ends; a heartbeat that was never written is the same."""
        over = None if never_written else now_plus(-1)
        with writing(self.engine) as connection:
            running = (shards.c.job_id == self.job_id) & (shards.c.state == ShardState.RUNNING)
            connection.execute(update(shards).where(running).values(lease_until=over))

    @rule()
    def recover(self) -> None:
        """A scheduler sweeps."""
        sweep(self.engine, max_attempts=ATTEMPTS)

    @rule()
    def pause(self) -> None:
        """A person pauses the job."""
        self._as_person(lambda: pause_job(self.engine, self.job_id, who="me"))

    @rule()
    def resume(self) -> None:
        """A person lets it go on."""
        self._as_person(lambda: resume_job(self.engine, self.job_id, who="me"))

    @rule()
    def retry(self) -> None:
        """A person tries a failed job again."""
        self._as_person(lambda: retry_job(self.engine, self.job_id, who="me"))

    @precondition(lambda self: len(self.claims) > 2)
    @rule()
    def cancel(self) -> None:
        """A person gives the job up."""
        self._as_person(lambda: cancel_job(self.engine, self.job_id, who="me"))

    @invariant()
    def the_job_counts_what_its_shards_hold(self) -> None:
        """Counters equal counts; rows exist for finished shards alone, and bear their final token."""
        job = get_job(self.engine, self.job_id)
        with reading(self.engine) as connection:
            of_job = shards.c.job_id == self.job_id
            counted = connection.execute(
                select(
                    func.count().filter(shards.c.state.in_(OPEN_SHARDS)),
                    func.count().filter(shards.c.state != ShardState.SPLIT),
                    func.coalesce(func.sum(shards.c.scored), 0),
                    func.coalesce(func.sum(shards.c.rejected), 0),
                ).where(of_job)
            ).one()
            of_final = (shards.c.id == scores.c.shard_id) & (shards.c.token == scores.c.token)
            joined = scores.join(shards, of_final & (shards.c.state == ShardState.DONE))
            rows = select(func.count()).select_from(joined).where(scores.c.job_id == self.job_id)
            written = connection.execute(select(func.count()).where(scores.c.job_id == self.job_id)).scalar_one()
            assert connection.execute(rows).scalar_one() == written == job.scored
        assert tuple(counted) == (job.shards_open, job.shards_total, job.scored, job.rejected)

    @invariant()
    def every_move_is_legal(self) -> None:
        """States move as the table says, so what is final stays."""
        state, states = get_job(self.engine, self.job_id).state, self._shard_states()
        assert state is self.job_state or _can_reach(JOB_MOVES, self.job_state, state)
        for shard_id, before in self.shard_states.items():
            assert states[shard_id] is before or _can_reach(SHARD_MOVES, before, states[shard_id])
        self.job_state, self.shard_states = state, states

    def teardown(self) -> None:
        """Whatever happened: once the workers are left alone, an open job comes to its end, and it is whole."""
        if not hasattr(self, "job_id"):
            return
        for _ in range(200):
            job = get_job(self.engine, self.job_id)
            if not job.is_open:
                break
            self._work_on(job)
        job = get_job(self.engine, self.job_id)
        assert not job.is_open
        if job.state is JobState.DONE:
            found = verify_job(self.engine, self.job_id)
            assert job.inputs == job.scored + job.rejected == RECORDS
            assert (found.scored, found.rejected, found.stale_rows) == (job.scored, job.rejected, 0)
        with writing(self.engine) as connection:  # the next example starts with short tables
            for table in ("scores", "rejects", "shard_histograms", "shards", "events"):
                connection.execute(text(f"DELETE FROM tidemark_{table} WHERE job_id = :job"), {"job": self.job_id})

    def _work_on(self, job: Job) -> None:
        if job.state is JobState.PAUSED:
            resume_job(self.engine, job.id, who="me")
        self.let_time_pass(never_written=False)
        sweep(self.engine, max_attempts=1000)
        while (claimed := claim_shard(self.engine, "scoring", worker="w", lease_seconds=60)) is not None:
            complete_scored_shard(self.engine, claimed, result_for(self.engine, claimed), worker="w")

    def _pick(self, pick: int) -> Claim:
        return self.claims[pick % len(self.claims)]

    def _holds(self, claimed: Claim) -> bool:
        with reading(self.engine) as connection:
            row = connection.execute(
                select(shards.c.token, shards.c.state).where(shards.c.id == claimed.shard_id)
            ).one()
        return row.token == claimed.token and row.state == ShardState.RUNNING

    def _as_holder(self, claimed: Claim, act: Callable[[], Any]) -> None:
        """The newest token alone may act; every other one is refused."""
        if self._holds(claimed):
            act()
        else:
            with pytest.raises(LeaseLostError):
                act()

    def _as_person(self, act: Callable[[], Any]) -> None:
        try:
            act()
        except StateConflictError:
            return  # it said no; that nothing changed is for the invariants to see

    def _shard_states(self) -> dict[int, ShardState]:
        with reading(self.engine) as connection:
            rows = connection.execute(select(shards.c.id, shards.c.state).where(shards.c.job_id == self.job_id))
            return {row.id: ShardState(row.state) for row in rows}


def _can_reach(moves: dict[Any, frozenset[Any]], before: Any, after: Any) -> bool:
    """One rule may take two steps: a shard that is taken back and then cancelled, for example."""
    return after in moves[before] or any(after in moves[step] for step in moves[before])


def _hurry(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA synchronous=OFF")  # no machine loses its power in this test


@pytest.mark.timeout(1800)
@pytest.mark.faults
def test_no_order_of_events_breaks_the_ledger(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.db'}")
    event.listen(engine, "connect", _hurry)
    prepare_database(engine)
    load_book(engine, range(RECORDS), reject_budget=1.0)
    add_model(engine)

    class Case(Ledger):
        pass

    Case.engine = engine
    whole = settings(
        max_examples=EXAMPLES, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(Case, settings=whole)
    engine.dispose()
