"""The ledger under any order of claims, deaths, erasures and people: a state machine looks for a way to break it.

The clock is virtual: the function that SQLite asks for the time is one of this test, and a rule moves it.
"""

import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
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
from sqlalchemy import Engine, event

from db.connections.engine import opened_engine, writing
from db.erasure.erasure import Person, erase_record
from db.errors import LeaseLostError, StateConflictError
from db.ledger.automatic_pauses import Trouble, list_due, pause_claimed, resume_due
from db.ledger.digests import score_digest
from db.ledger.job_closing import fail_shard
from db.ledger.job_control import pause_job, resume_job, retry_job
from db.ledger.job_lifecycle import JobRequest, cancel_job, get_job, submit_job
from db.ledger.shard_leases import Claim, claim_shard, give_back, insert_shards, renew_lease, retry_later
from db.migrations.upgrade import prepare_database
from db.results.shard_results import Reject, ShardResult, complete_scored_shard
from db.schema.states import JOB_MOVES, OPEN_JOB_STATES, SHARD_MOVES, JobKind, JobState, PauseCause, ShardState
from db.sources.source_table import KeyRange
from scheduler.loop.lease_recovery import sweep
from tests.building import BOOK, MODEL, add_model, load_book
from tests.faults import facts
from tests.faults.matrix import Matrix

RECORDS, SHARD_ROWS = 12, 3
MOST_ERASED = 2  # in an example: an erasure looks into every table, and takes as long as all the rest
ATTEMPTS = 2
LEASE_SECONDS = 60
PROCESSES = min(2, os.cpu_count() or 1)
TROUBLE = Trouble(PauseCause.DISK_FULL, "no room", 15)
BEGINNING = datetime(2026, 3, 29, tzinfo=UTC)
picks = st.integers(0, 1000)


class VirtualClock:
    """What the database takes for the time."""

    def __init__(self) -> None:
        self.now = BEGINNING

    def strftime(self, _form: str, _now: str, shift: str) -> str:
        """Stand in for SQLite's function of this name, as the clock calls it: 'now' and a number of seconds."""
        shifted = self.now + timedelta(seconds=float(shift.removesuffix(" seconds")))
        return shifted.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


class Ledger(RuleBasedStateMachine):
    """One job of four shards, any number of workers, one person, one scheduler."""

    engine: Engine
    raw: sqlite3.Connection  # looks at the rows without SQLAlchemy, which is what makes thousands of examples quick
    clock: VirtualClock

    @initialize(is_drained=st.integers(0, 3))
    def submit(self, is_drained: int) -> None:
        """Begin with a fresh job; every fourth is worked on to its end afterwards."""
        self.is_drained = is_drained == 0
        self.job_id = submit_job(self.engine, JobRequest(JobKind.SCORING, BOOK, "test", {}, MODEL))
        job = get_job(self.engine, self.job_id)
        ends = range(0, RECORDS, SHARD_ROWS)
        ranges = [KeyRange(first - 1 if first else None, first + SHARD_ROWS - 1, SHARD_ROWS) for first in ends]
        with writing(self.engine) as connection:
            assert insert_shards(connection, job, ranges, inputs=RECORDS)
        self.claims: list[Claim] = []
        self.claimed_at: dict[tuple[int, int], int] = {}  # number of the claim by shard and token
        self.read: dict[tuple[int, int], frozenset[int]] = {}  # whom each claim found
        self.people = frozenset(range(RECORDS))
        self.erased_at: dict[str, int] = {}  # how many claims there were, by key
        self.job_state, self.shard_states = self._states()

    @rule()
    def claim(self) -> None:
        """A worker claims a shard of this job."""
        claimed = claim_shard(self.engine, "scoring", worker="w", lease_seconds=LEASE_SECONDS)
        if claimed is not None:
            assert claimed.job.id == self.job_id
            self._note_claim(claimed)
            self.claims.append(claimed)

    @precondition(lambda self: len(self.erased_at) < MOST_ERASED)
    @rule(person=st.integers(0, RECORDS - 1))
    def erase(self, person: int) -> None:
        """A person is erased, whatever is being scored; nothing of them is left."""
        erasure = erase_record(self.engine, Person(BOOK, str(person)), who="me")
        assert not any(erasure.left.values())
        self.people -= {person}
        self.erased_at[str(person)] = len(self.claimed_at)

    @precondition(lambda self: len(self.people) < RECORDS)
    @rule(pick=picks)
    def load_again(self, pick: int) -> None:
        """A person becomes a customer again."""
        gone = sorted(set(range(RECORDS)) - self.people)
        person = gone[pick % len(gone)]
        self.raw.execute(f"INSERT INTO {BOOK} (id) VALUES (?)", [person])
        self.people |= {person}

    @precondition(lambda self: self.claims)
    @rule(pick=picks)
    def heartbeat(self, pick: int) -> None:
        """A worker's batch loop is alive."""
        claimed = self._pick(pick)
        self._as_holder(claimed, lambda: renew_lease(self.engine, claimed, lease_seconds=LEASE_SECONDS))

    @precondition(lambda self: self.claims)
    @rule(pick=picks, rejected=st.integers(0, 1))
    def write(self, pick: int, rejected: int) -> None:
        """A worker writes what it scored, perhaps long after it lost its lease."""
        claimed = self._pick(pick)
        self._as_holder(claimed, lambda: self._complete(claimed, rejected))

    @precondition(lambda self: self.claims)
    @rule(pick=picks)
    def stop_cleanly(self, pick: int) -> None:
        """A worker is told to stop and gives its shard back."""
        claimed = self._pick(pick)
        holds = self._holds(claimed)
        assert give_back(self.engine, claimed, worker="w") == holds

    @precondition(lambda self: self.claims)
    @rule(pick=picks)
    def meet_a_full_disk(self, pick: int) -> None:
        """A worker cannot write and pauses the job."""
        pause_claimed(self.engine, self._pick(pick), TROUBLE, worker="w")

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

    @rule(seconds=st.sampled_from([1, 20, LEASE_SECONDS + 1]))
    def tick(self, seconds: int) -> None:
        """Time passes; leases may end."""
        self.clock.now += timedelta(seconds=seconds)

    @rule()
    def never_write_a_lease(self) -> None:
        """A lease whose heartbeat was never written counts as over."""
        running = "UPDATE tidemark_shards SET lease_until = NULL WHERE job_id = ? AND state = 'running'"
        self.raw.execute(running, [self.job_id])

    @rule()
    def recover(self) -> None:
        """A scheduler sweeps, and lets go on what had paused by itself."""
        sweep(self.engine, max_attempts=ATTEMPTS)
        for job in list_due(self.engine):
            resume_due(self.engine, job.job_id, who="scheduler")

    @rule()
    def pause(self) -> None:
        """A person pauses the job."""
        self._as_person(lambda: pause_job(self.engine, self.job_id, who="me"))

    @precondition(lambda self: self.job_state is not JobState.RUNNING)
    @rule()
    def resume(self) -> None:
        """A person lets it go on."""
        self._as_person(lambda: resume_job(self.engine, self.job_id, who="me"))

    @precondition(lambda self: self.job_state not in OPEN_JOB_STATES)
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
        """Counters equal counts; rows exist for finished shards alone, bear their final token, no key stands twice."""
        said = self._row(facts.SAID)
        assert self._row(facts.COUNTED) == said
        scored, rejected = self._row(facts.ERASED)
        scored, rejected = said[2] - scored, said[3] - rejected
        assert self._row(facts.ROWS) == (scored, scored, scored, rejected, rejected)

    @invariant()
    def who_was_erased_is_in_no_result_that_was_claimed_before(self) -> None:
        """A key stands in results of later claims alone, and at the end of no range."""
        for table in ("scores", "rejects"):
            found = f"SELECT record_key, shard_id, token FROM tidemark_{table} WHERE job_id = ?"
            for key, shard_id, token in self.raw.execute(found, [self.job_id]).fetchall():
                assert self.claimed_at[shard_id, token] >= self.erased_at.get(key, 0)
        ends = self.raw.execute("SELECT key_after, key_upto FROM tidemark_shards WHERE job_id = ?", [self.job_id])
        gone = {str(person) for person in set(range(RECORDS)) - self.people}
        assert not gone & {end for row in ends.fetchall() for end in row}

    @invariant()
    def every_move_is_legal(self) -> None:
        """States move as the table says, so what is final stays."""
        state, states = self._states()
        assert state is self.job_state or _can_reach(JOB_MOVES, self.job_state, state)
        for shard_id, before in self.shard_states.items():
            assert states[shard_id] is before or _can_reach(SHARD_MOVES, before, states[shard_id])
        self.job_state, self.shard_states = state, states

    def teardown(self) -> None:
        """Whatever happened: once the workers are left alone, an open job comes to its end, and it is whole."""
        if not hasattr(self, "job_id"):
            return
        if self.is_drained:
            self._drain()
        state, _ = self._states()
        if state is JobState.DONE:
            inputs, scored, rejected, keys = self._row(facts.WHOLE)
            erased = sum(self._row(facts.ERASED))
            assert inputs == scored + rejected == keys + erased
            assert self.erased_at or inputs == RECORDS
        for person in set(range(RECORDS)) - self.people:
            self.raw.execute(f"INSERT INTO {BOOK} (id) VALUES (?)", [person])
        self.raw.execute("DELETE FROM tidemark_erased_keys")
        self.raw.execute("DELETE FROM tidemark_removals")
        for table in ("scores", "rejects", "shard_histograms", "shards", "events"):  # the next example starts afresh
            self.raw.execute(f"DELETE FROM tidemark_{table} WHERE job_id = ?", [self.job_id])
        self.raw.execute("DELETE FROM tidemark_events")
        self.raw.execute("DELETE FROM tidemark_jobs WHERE subject_job_id = ?", [self.job_id])
        self.raw.execute("DELETE FROM tidemark_jobs WHERE id = ?", [self.job_id])

    def _drain(self) -> None:
        for _ in range(50):
            state, _ = self._states()
            if state not in OPEN_JOB_STATES:
                return
            if state is JobState.PAUSED:
                resume_job(self.engine, self.job_id, who="me")
            self.clock.now += timedelta(seconds=LEASE_SECONDS + 1)
            sweep(self.engine, max_attempts=1000)
            while (claimed := claim_shard(self.engine, "scoring", worker="w", lease_seconds=LEASE_SECONDS)) is not None:
                self._note_claim(claimed)
                self._complete(claimed, 0)
        raise AssertionError("the job does not come to its end")

    def _note_claim(self, claimed: Claim) -> None:
        self.claimed_at[claimed.shard_id, claimed.token] = len(self.claimed_at)
        self.read[claimed.shard_id, claimed.token] = self.people

    def _complete(self, claimed: Claim, rejected: int) -> None:
        first = -1 if claimed.key_range.after is None else int(claimed.key_range.after)
        last = RECORDS - 1 if claimed.key_range.upto is None else int(claimed.key_range.upto)
        read = self.read[claimed.shard_id, claimed.token]
        keys = [str(key) for key in range(first + 1, last + 1) if key in read]
        rejects = [Reject(row, keys[row], "amount", "not_a_number", "") for row in range(min(rejected, len(keys)))]
        scored = keys[len(rejects) :]
        count = len(scored)
        digest = score_digest(scored, [0.25] * count, MODEL)
        result = ShardResult(scored, [0.25] * count, [500] * count, ["D"] * count, rejects, {}, digest, "2")
        complete_scored_shard(self.engine, claimed, result, worker="w")

    def _pick(self, pick: int) -> Claim:
        return self.claims[pick % len(self.claims)]

    def _holds(self, claimed: Claim) -> bool:
        row = self._row("SELECT token, state FROM tidemark_shards WHERE id = :shard", shard=claimed.shard_id)
        return row == (claimed.token, "running")

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

    def _row(self, statement: str, **more: int) -> tuple[Any, ...]:
        return self.raw.execute(statement, {"job": self.job_id} | more).fetchone()

    def _states(self) -> tuple[JobState, dict[int, ShardState]]:
        (state,) = self._row("SELECT state FROM tidemark_jobs WHERE id = :job")
        rows = self.raw.execute("SELECT id, state FROM tidemark_shards WHERE job_id = ?", [self.job_id])
        return JobState(state), {shard_id: ShardState(of_shard) for shard_id, of_shard in rows}


def _can_reach(moves: dict[Any, frozenset[Any]], before: Any, after: Any) -> bool:
    """One rule may take two steps: a shard that is taken back and then cancelled, for example."""
    return after in moves[before] or any(after in moves[step] for step in moves[before])


def _run_examples(folder: Path, examples: int) -> None:
    clock = VirtualClock()
    with opened_engine(f"sqlite:///{folder / 'ledger.db'}") as engine:

        def prepare(connection: sqlite3.Connection, _record: object) -> None:
            connection.execute("PRAGMA synchronous=OFF")  # no machine loses its power in this test
            connection.create_function("strftime", 3, clock.strftime)

        event.listen(engine, "connect", prepare)
        prepare_database(engine)
        load_book(engine, range(RECORDS), reject_budget=1.0)
        add_model(engine)
        raw = sqlite3.connect(folder / "ledger.db", isolation_level=None)
        raw.execute("PRAGMA synchronous=OFF")

        class Case(Ledger):
            pass

        Case.engine, Case.raw, Case.clock = engine, raw, clock
        health = list(HealthCheck)
        whole = settings(max_examples=examples, stateful_step_count=15, deadline=None, suppress_health_check=health)
        run_state_machine_as_test(Case, settings=settings(whole, database=None))
        raw.close()


@pytest.mark.timeout(1800)
@pytest.mark.faults
@pytest.mark.fault(16)
def test_no_order_of_events_breaks_the_ledger(tmp_path: Path, matrix: Matrix, examples: int) -> None:
    folders = [tmp_path / str(number) for number in range(PROCESSES)]
    for folder in folders:
        folder.mkdir()
    # Each process looks on its own, with a chance of its own; an example that fails raises here.
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        runs = [pool.submit(_run_examples, folder, examples // PROCESSES) for folder in folders]
        for run in runs:
            run.result()
    matrix.note(injected=examples, what="sequences of events")
