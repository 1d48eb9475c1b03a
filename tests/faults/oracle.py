"""What must hold after every fault: each record once, final tokens and states, digest, counters, recovery, work."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, text

from db.connections.engine import reading
from db.ledger.job_lifecycle import Job, get_job
from db.results.verification import verify_job
from db.schema.states import JobState
from tests.faults.facts import AFTER_THE_END, TWICE


@dataclass(frozen=True)
class Strike:
    """A fault that hit one process (its id), or a server (none); a server is healed some time later."""

    at: float
    pid: int | None = None
    healed_at: float | None = None


@dataclass(frozen=True)
class Outage:
    """Without a scheduler from here on, until the next one was seen: nobody could take back a shard."""

    began_at: float


@dataclass(frozen=True)
class Event:
    """A line of the event log."""

    at: float
    name: str
    who: str
    shard_id: int | None


@dataclass(frozen=True)
class Limits:
    """The times of an installation: its lease, its sweep, and what one shard may take with the start of a process."""

    lease_seconds: float
    sweep_seconds: float
    shard_seconds: float

    @property
    def recovery_seconds(self) -> float:
        """From a fault to the end of the shard that it hit."""
        return self.lease_seconds + self.sweep_seconds + self.shard_seconds


_FREED = {"shard.taken_back", "shard.split", "shard.poison"}


class Oracle:
    """Looks at what is stored of one job."""

    def __init__(self, engine: Engine, job_id: int) -> None:
        self._engine = engine
        self._job_id = job_id

    @property
    def job(self) -> Job:
        """The job's row."""
        return get_job(self._engine, self._job_id)

    def count(self, statement: str) -> int:
        """The number that a statement about the job gives."""
        with reading(self._engine) as connection:
            return int(
                connection.execute(text(statement), {"job": self._job_id} if ":job" in statement else {}).scalar_one()
            )

    def lost(self) -> int:
        """Records that are neither a score nor a reject."""
        return self.count(_LOST)

    def duplicated(self) -> int:
        """Keys that stand twice."""
        return self.count(TWICE)

    def repeated_claims(self, struck: set[int]) -> int:
        """How often a shard was claimed again; `struck` are the processes that a fault hit.

        Not counted: a shard that a process lost which no fault hit while it loaded the model for its first shard. On a
        machine that is too busy that takes longer than these tests' short leases.
        """
        first: set[str] = set()
        holders: dict[int | None, tuple[str, bool]] = {}
        slow_starts = 0
        for one in self._events():
            if one.name == "shard.claimed":
                holders[one.shard_id] = (one.who, one.who not in first)
                first.add(one.who)
            elif one.name == "shard.taken_back":
                who, is_first = holders[one.shard_id]
                slow_starts += is_first and int(who.rpartition(":")[2]) not in struck
        return self.count(_REPEATED) - slow_starts

    def assert_whole(self, *, inputs: int, rejected: int, digest: str | None) -> None:
        """Everything but what depends on the fault; `digest` is that of a run without a fault."""
        job = self.job
        counts = (job.state, job.inputs, job.scored, job.rejected)
        assert counts == (JobState.DONE, inputs, inputs - rejected, rejected)
        assert verify_job(self._engine, self._job_id).problems == ()  # counters, final tokens, the digest recomputed
        assert (self.lost(), self.duplicated()) == (0, 0)
        assert self.count(_UNEVEN_SHARDS) == 0
        assert self.count(AFTER_THE_END) == 0, "a final state was left again"
        if digest is not None:
            assert job.digest == digest

    def recoveries(self, strikes: list[Strike], limits: Limits, outages: Sequence[Outage] = ()) -> list[float]:
        """Seconds from each fault to the end of the shard that it hit, held against the limits.

        A server's fault counts from its healing. What a new process needs to start is not counted: recovery is the
        time until the shard is free again and the time in which it is then scored. A lease that ends in an `Outage`
        is held against the first sweep of the scheduler that ended it.
        """
        events = self._events()
        swept_from = [(outage.began_at, self._next_scheduler(outage)) for outage in outages]
        found = [_recover(strike, events, limits, swept_from) for strike in strikes]
        return [one for one in found if one is not None]

    def _next_scheduler(self, outage: Outage) -> float:
        statement = "SELECT started_at FROM tidemark_processes WHERE kind = 'scheduler'"
        with reading(self._engine) as connection:
            starts = sorted(map(_seconds, connection.execute(text(statement)).scalars()))
        return next(at for at in starts if at > outage.began_at)

    def _events(self) -> list[Event]:
        statement = "SELECT at, event, who, shard_id FROM tidemark_events WHERE job_id = :job ORDER BY id"
        with reading(self._engine) as connection:
            rows = connection.execute(text(statement), {"job": self._job_id}).all()
        return [Event(_seconds(row.at), row.event, row.who, row.shard_id) for row in rows]


def _recover(strike: Strike, events: list[Event], limits: Limits, outages: list[tuple[float, float]]) -> float | None:
    if strike.pid is None:
        healed = strike.at if strike.healed_at is None else strike.healed_at
        if not events or events[0].at > healed:
            return None  # the job came later
        seconds = next((one.at - healed for one in events if one.name == "shard.done" and one.at >= healed), None)
        assert seconds is None or seconds <= limits.recovery_seconds, (seconds, limits)
        return seconds
    own = [one for one in events if one.who.endswith(f":{strike.pid}") and one.at <= strike.at + 0.05]
    held = [shard for shard, name in {one.shard_id: one.name for one in own}.items() if name == "shard.claimed"]
    return max((_recover_shard(shard, strike.at, events, limits, outages) for shard in held), default=None)


def _recover_shard(
    shard_id: int | None, struck_at: float, events: list[Event], limits: Limits, outages: list[tuple[float, float]]
) -> float:
    later = [one for one in events if one.shard_id == shard_id and one.at > struck_at]
    freed = next(one.at for one in later if one.name in _FREED)
    # Two seconds for the sweep itself, on a machine that is busy.
    sweep_seconds = limits.sweep_seconds + 2
    due = struck_at + limits.lease_seconds + sweep_seconds
    due = max([due, *(ended + sweep_seconds for began, ended in outages if began < due and ended > struck_at)])
    assert freed <= due, (freed - struck_at, due - struck_at)
    claimed = next((one.at for one in later if one.name == "shard.claimed" and one.at >= freed), freed)
    done = next((one.at for one in later if one.name == "shard.done" and one.at >= claimed), claimed)
    return freed - struck_at + done - claimed


def _seconds(at: datetime | str) -> float:
    """SQLite gives text without a time zone, PostgreSQL a time with one."""
    moment = datetime.fromisoformat(f"{at}+00:00") if isinstance(at, str) else at
    return moment.timestamp()


_LOST = """
    SELECT (SELECT count(*) FROM simulated_book b WHERE b.customer_id IS NOT NULL
              AND NOT EXISTS (SELECT 1 FROM tidemark_scores s WHERE s.job_id = :job AND s.record_key = b.customer_id)
              AND NOT EXISTS (SELECT 1 FROM tidemark_rejects r WHERE r.job_id = :job AND r.record_key = b.customer_id))
         + (SELECT count(*) FROM simulated_book b WHERE b.customer_id IS NULL)
         - (SELECT count(*) FROM tidemark_rejects r WHERE r.job_id = :job AND r.record_key IS NULL)
"""
_UNEVEN_SHARDS = """
    SELECT count(*) FROM tidemark_shards
    WHERE job_id = :job AND state NOT IN ('done', 'split') OR (job_id = :job AND read_rows <> scored + rejected)
"""
_REPEATED = "SELECT coalesce(sum(token - 1), 0) FROM tidemark_shards WHERE job_id = :job"
