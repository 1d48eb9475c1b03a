"""Disks fill up, the database turns read-only, Redis refuses: jobs pause with the cause, and go on when it is healed.

A disk here is a real file system of a few megabytes, in memory; to mount one the test needs root.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import make_url

from db.events.event_log import list_events
from db.ledger.job_lifecycle import JobRequest, get_job, submit_job
from db.schema.states import JobKind, JobState, PauseCause
from tests.faults.matrix import Matrix
from tests.faults.site import Site
from tests.servers import PostgresServer, RedisServer
from tests.servers.processes import make_folder, unprivileged_uid
from tests.trained_book import BOOK, TrainedBook
from tests.waiting import wait_for

SLOWER = {"point": "in_prediction", "delay": 0.2}  # so that there is work left when the fault comes
pytestmark = [pytest.mark.faults, pytest.mark.slow]


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """Give an empty file system of a few megabytes, where PostgreSQL's user can reach it."""
    folder = make_folder("disk", owner=unprivileged_uid())
    options = ["-t", "tmpfs", "-o", f"size={megabytes}m,mode=777", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(["mount", *options], capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small file system needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Take all the room of a disk; removing the file gives it back."""
    path = disk / "ballast"
    with path.open("wb", buffering=0) as file:
        for size in (65_536, 4_096, 512, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    return path


def assert_pauses_and_goes_on(
    site: Site, job_id: int, causes: set[PauseCause], *, heal: Callable[[], object], seconds: float = 400
) -> None:
    """Wait until `job show` tells a cause, heal it, and wait for the job's end."""

    def shown() -> bool:
        document = site.installation.json("job", "show", str(job_id))
        return document["state"] == "paused" and document["cause"] in causes and bool(document["detail"])

    began_at = time.time()
    wait_for(shown, seconds, f"job show to tell one of {causes}")
    heal()
    site.note_fault(began_at=began_at)
    site.wait_until(job_id, JobState.DONE)


@pytest.fixture
def disk_site(
    request: pytest.FixtureRequest, redis_url: str, template: TrainedBook, matrix: Matrix, tmp_path: Path
) -> Iterator[tuple[Site, Path]]:
    """A book whose database lies on a small disk: SQLite's file, or PostgreSQL's tables."""
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk(24))
        url = f"sqlite:///{disk / 'tidemark.db'}"
        if request.param == "postgresql":
            server: PostgresServer = request.getfixturevalue("postgres_server")
            url = stack.enter_context(server.fresh_database())
            stack.enter_context(on_disk(server, url, disk))
        site = Site(tmp_path, url, redis_url, template, matrix)
        stack.callback(site.close)
        yield site, disk


@contextmanager
def on_disk(server: PostgresServer, url: str, disk: Path) -> Iterator[None]:
    """Let the tables of a new database lie on a disk; PostgreSQL's log of changes stays elsewhere."""
    server.give(disk)
    name = make_url(url).database
    with server.connect() as connection:
        connection.execute(f"CREATE TABLESPACE small LOCATION '{disk}/tables'".encode())
        connection.execute(f'ALTER DATABASE "{name}" SET TABLESPACE small'.encode())
    yield
    with server.connect() as connection:
        connection.execute(f'ALTER DATABASE "{name}" SET TABLESPACE pg_default'.encode())
        connection.execute(b"DROP TABLESPACE small")


@pytest.mark.fault(9)
@pytest.mark.parametrize("disk_site", ["sqlite", "postgresql"], indirect=True)
def test_a_disk_that_is_full_while_scores_are_written_pauses_the_job(disk_site: tuple[Site, Path]) -> None:
    site, disk = disk_site
    site.inject(SLOWER)
    job_id = site.submit()
    site.start()
    site.wait_for_scores(job_id, 500)
    ballast = fill(disk)
    # A database without any room cannot even note the pause; then `job show` asks it, and says so.
    causes = {PauseCause.DISK_FULL, PauseCause.DATABASE_REFUSES_WRITES}
    assert_pauses_and_goes_on(site, job_id, causes, heal=ballast.unlink)
    site.assert_whole(job_id)


@pytest.mark.fault(9)
def test_a_disk_that_is_full_while_a_model_is_saved_never_shows_half_a_model(laptop_site: Site) -> None:
    site = laptop_site
    with small_disk(8) as disk:
        ballast = fill(disk)
        site.installation.settings["TIDEMARK_MODELS_URL"] = str(disk)
        job_id = submit_job(site.engine, JobRequest(JobKind.TRAINING, BOOK, "test", {"epochs": 1}))
        site.installation.start("scheduler")
        site.installation.start("worker", "--queues", "training", "--concurrency", "1")
        wait_for(lambda: get_job(site.engine, job_id).cause is PauseCause.DISK_FULL, 400, "the job to pause")
        assert [path for path in disk.iterdir() if path != ballast and not path.name.startswith(".")] == []
        assert site.count("SELECT count(*) FROM tidemark_model_versions") == 1, "the template's"
        assert_pauses_and_goes_on(site, job_id, {PauseCause.DISK_FULL}, heal=ballast.unlink)
        version = get_job(site.engine, job_id).model_version
        assert [path.name for path in disk.iterdir() if not path.name.startswith(".")] == [version]
        site.matrix.note(injected=1, what="a model saved on a full disk")
        site.installation.close()


@pytest.mark.fault(9)
def test_a_database_that_turns_read_only_shows_its_jobs_as_paused_and_goes_on(
    postgres_site: Site, postgres_server: PostgresServer
) -> None:
    site = postgres_site
    site.inject(SLOWER)
    job_id = site.submit()
    site.start()
    site.wait_for_scores(job_id, 500)
    set_read_only(postgres_server, site, is_read_only=True)
    assert_pauses_and_goes_on(
        site,
        job_id,
        {PauseCause.DATABASE_REFUSES_WRITES},
        heal=lambda: set_read_only(postgres_server, site, is_read_only=False),
    )
    site.assert_whole(job_id)


@pytest.mark.fault(9)
def test_a_redis_that_refuses_to_write_pauses_the_job_and_it_goes_on(
    laptop_site: Site, redis_server: RedisServer
) -> None:
    site = laptop_site
    site.inject(SLOWER)
    first = site.submit()
    site.installation.start("up")  # a worker that Redis refuses may end; it is started again
    site.wait_for_scores(first, 100)
    with redis_server.client() as client:
        client.config_set("maxmemory", "1")
        job_id = site.submit()
        causes = {PauseCause.REDIS_REFUSES_WRITES}
        assert_pauses_and_goes_on(site, job_id, causes, heal=lambda: client.config_set("maxmemory", "0"))
    site.wait_until(first, JobState.DONE)
    site.assert_whole(job_id)
    events = [one.event for one in list_events(site.engine, job_id, limit=1000)]
    assert (events.count("job.paused"), events.count("job.resumed")) == (1, 1)


def set_read_only(server: PostgresServer, site: Site, *, is_read_only: bool) -> None:
    """Let a database take writes or not, from the next connection on, and end the present ones."""
    name = site.engine.url.database
    with server.connect() as connection:
        value = "on" if is_read_only else "off"
        connection.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = {value}'.encode())
    server.terminate_connections()
