"""What must hold all the time: each record once, no erased key anywhere, no book waiting for another's fault."""

import threading
import time
from collections.abc import Iterable
from pathlib import Path

import httpx
from sqlalchemy import Engine, text

from db.connections.engine import reading
from db.errors import DatabaseError, StateConflictError
from db.results.verification import verify_job
from db.schema.states import JobState
from tests.faults.facts import AFTER_THE_END, COUNTED, SAID, TWICE
from tests.soak.faults import OF_ONE_BOOK
from tests.soak.journal import Journal
from tests.soak.receivers import Receivers
from tests.soak.site import QUIET, Site

# From asking for the quiet book to its shards, on two cores that everything else uses as well. The promise is 2 s for
# the scheduler's loop; the rest is what one request and one tick take on a machine that is busy.
PLANNED_SECONDS = 6.0
DONE_SECONDS = 150.0  # behind whatever else is waiting: the bound of ageing is not what this is about
TOLD_SECONDS = 30.0
_QUIET_PAUSE_SECONDS = 20.0
_SWEEP_PAUSE_SECONDS = 60.0

_ENDED = "SELECT id, state FROM tidemark_jobs WHERE kind = 'scoring' AND state IN ('done', 'failed', 'cancelled')"


class LedgerCheck:
    """Holds every scoring job that has ended against its rows, once."""

    def __init__(self, engine: Engine, journal: Journal) -> None:
        self._engine = engine
        self._journal = journal
        self._seen: set[tuple[int, str]] = set()

    def look(self) -> None:
        """Check the jobs that have ended since the last look."""
        with reading(self._engine) as connection:
            ended = [(int(row.id), str(row.state)) for row in connection.execute(text(_ENDED))]
        for job_id, state in ended:
            if (job_id, state) not in self._seen:
                self._check(job_id, state)
                self._seen.add((job_id, state))

    def _check(self, job_id: int, state: str) -> None:
        self._journal.note(f"checked a job that is {state}")
        with reading(self._engine) as connection:
            said, counted, twice, after = (
                tuple(connection.execute(text(one), {"job": job_id}).one())
                for one in (SAID, COUNTED, TWICE, AFTER_THE_END)
            )
        if tuple(said) != tuple(counted):
            self._journal.find("counters equal counts", f"job {job_id} ({state}): said {said}, counted {counted}")
        if twice != (0,):
            self._journal.find("no key stands twice", f"job {job_id} ({state}): {twice[0]} keys")
        if after != (0,):
            self._journal.find("what has ended stays", f"job {job_id} ({state}): {after[0]} later events")
        if state == JobState.DONE:
            self._verify(job_id)

    def _verify(self, job_id: int) -> None:
        for _ in range(3):  # an erasure between two of its statements is no fault of the job
            try:
                problems = verify_job(self._engine, job_id).problems
            except StateConflictError as error:
                problems = (str(error),)
            if not problems:
                return
        self._journal.find("each record once, with its digest", f"job {job_id}: {'; '.join(problems)}")


def find_keys(engine: Engine, keys: Iterable[str]) -> dict[str, list[str]]:
    """Return where these keys stand in the database, whatever the table or column: table to keys.

    Keys consist of letters, digits, hyphens and underscores. Rows are cut into such words: to look for each of hundreds
    of keys in half a million rows takes minutes of all processors.
    """
    wanted = list(keys)
    found: dict[str, list[str]] = {}
    with reading(engine) as connection:
        tables = connection.execute(
            text(
                "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables"
                " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
            )
        ).scalars()
        for table in tables.all():
            # The table's name comes from the catalogue, quoted by the server.
            words = f"{table} AS r, regexp_split_to_table(r::text, '[^A-Za-z0-9_-]+') AS word"
            statement = text(f"SELECT word FROM {words} WHERE word = ANY(:wanted)")
            if held := connection.execute(statement, {"wanted": wanted}).scalars().all():
                found[table] = list(held)
    return found


def find_keys_in_files(folder: Path, keys: Iterable[str]) -> dict[str, list[str]]:
    """Return which files below a folder hold these keys."""
    wanted = [key.encode() for key in keys]
    found: dict[str, list[str]] = {}
    for path in (one for one in folder.rglob("*") if one.is_file()):
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            continue
        held = [key.decode() for key in wanted if key in content]
        if held:
            found[str(path.relative_to(folder))] = held
    return found


class ErasureCheck:
    """Looks for everybody who was erased in every table, in models, logs and in what Redis keeps."""

    def __init__(self, site: Site, journal: Journal) -> None:
        self._site = site
        self._journal = journal

    def look(self) -> None:
        """Look for all of them."""
        erased = [key for book in self._site.books.values() for key in tuple(book.erased)]
        if not erased:
            return
        self._journal.note("looked for everybody who was erased")
        places = find_keys(self._site.superuser, erased)
        for folder in (self._site.folder / "home", self._site.redis.folder):
            places |= find_keys_in_files(folder, erased)
        for place, keys in places.items():
            for key in sorted(set(keys)):
                self._journal.find("an erased key is nowhere", f"{place}: {key}")


class QuietBook(threading.Thread):
    """Has the quiet book scored again and again, and times it while nothing is harmed but other books."""

    def __init__(self, site: Site, journal: Journal, receivers: Receivers) -> None:
        super().__init__(name="quiet book", daemon=True)
        self._site = site
        self._journal = journal
        self._receivers = receivers
        self.ending = threading.Event()
        self.planned: list[float] = []
        self.done: list[float] = []

    def run(self) -> None:
        """Ask, wait, compare; until told to stop."""
        with self._site.client() as client:
            while not self.ending.wait(_QUIET_PAUSE_SECONDS):
                try:
                    self._once(client)
                except (httpx.HTTPError, KeyError):
                    self._journal.note("score the quiet book", refused="not answered")

    def _once(self, client: httpx.Client) -> None:
        began, asked_at = self._journal.seconds, time.monotonic()
        wanted = {"kind": "scoring", "portfolio": QUIET, "priority": "normal"}
        job_id = client.post("/v1/jobs", json=wanted).json()["job"]
        self._journal.note("score the quiet book")
        planned = self._wait(client, job_id, {"running", "done"}, PLANNED_SECONDS * 5)
        self._hold("its planning", job_id, planned, began=began, seconds=PLANNED_SECONDS, into=self.planned)
        done = self._wait(client, job_id, {"done"}, DONE_SECONDS * 2)
        self._hold("its end", job_id, done, began=began, seconds=DONE_SECONDS, into=self.done)
        if done is not None:
            result = self._wait_for_message(job_id)
            late = result is None or result - asked_at - done > TOLD_SECONDS
            if late and self._journal.was_calm(began, but=OF_ONE_BOOK):
                self._journal.find("a slow receiver holds up no other", f"the end of job {job_id} was not told in time")

    def _wait(self, client: httpx.Client, job_id: int, states: set[str], seconds: float) -> float | None:
        began = time.monotonic()
        while not self.ending.wait(0.1) and time.monotonic() - began < seconds:
            job = client.get(f"/v1/jobs/{job_id}").json()
            if job["state"] in states:
                return time.monotonic() - began
            if job["state"] in {"failed", "cancelled"}:
                self._journal.find("the quiet book is scored", f"job {job_id}: {job['state']}, {job['detail']}")
                return None
        return None

    def _hold(
        self, what: str, job_id: int, took: float | None, *, began: float, seconds: float, into: list[float]
    ) -> None:
        if not self._journal.was_calm(began, but=OF_ONE_BOOK) or self.ending.is_set():
            return
        if took is not None:
            into.append(round(took, 2))
        if took is None or took > seconds:
            detail = f"{what}, job {job_id}: {'not within' if took is None else f'{took:.1f} s, not'} {seconds:g} s"
            self._journal.find("no book waits for another's fault", detail)

    def _wait_for_message(self, job_id: int) -> float | None:
        began = time.monotonic()
        while not self.ending.wait(0.1) and time.monotonic() - began < TOLD_SECONDS + 5:
            if job_id in self._receivers.told:
                return self._receivers.told[job_id]
        return None


class Watch(threading.Thread):
    """Looks at the ledger and for erased people once a minute."""

    def __init__(self, ledger: LedgerCheck, erasure: ErasureCheck, journal: Journal) -> None:
        super().__init__(name="watch", daemon=True)
        self._looks = (ledger.look, erasure.look)
        self._journal = journal
        self.ending = threading.Event()

    def run(self) -> None:
        """Look until told to stop; a database that is away is looked at the next time."""
        while not self.ending.wait(_SWEEP_PAUSE_SECONDS):
            for look in self._looks:
                try:
                    look()
                except DatabaseError:
                    self._journal.note("watch", refused="the database was away")
