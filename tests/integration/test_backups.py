"""A backup made in mid-job is one moment of it: restored, the job goes on and can be proven."""

import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from sqlalchemy import make_url, update

from db.connections.engine import Engine, opened_engine, writing
from db.ledger.digests import score_digest
from db.ledger.job_lifecycle import get_job
from db.ledger.shard_leases import claim_shard
from db.migrations.upgrade import prepare_database
from db.results.shard_results import complete_scored_shard
from db.results.verification import verify_job
from db.schema.core_tables import shards
from db.schema.states import JobState
from scheduler.loop.lease_recovery import sweep
from tests.building import MODEL, add_model, load_book, result_for, start_scoring
from tests.servers import PostgresServer, newest_postgres
from tests.servers.postgres_binaries import reachable

RECORDS = 300


def test_sqlite_is_backed_up_and_restored_as_documented(tmp_path: Path) -> None:
    made, copied = tmp_path / "tidemark.db", tmp_path / "tidemark-backup.db"

    def back_up() -> None:
        with closing(sqlite3.connect(made)) as source, closing(sqlite3.connect(copied)) as copy:
            source.backup(copy)  # what `.backup` of the command `sqlite3` does

    _score_half_way(f"sqlite:///{made}", back_up)
    _go_on_and_prove(f"sqlite:///{copied}")


def test_postgresql_is_backed_up_and_restored_as_documented(postgres_server: PostgresServer, tmp_path: Path) -> None:
    binaries = newest_postgres()
    assert binaries is not None
    folder, dump = reachable(binaries).folder, tmp_path / "tidemark.dump"
    with postgres_server.fresh_database() as made, postgres_server.fresh_database() as restored:

        def back_up() -> None:
            _run(folder / "pg_dump", "--format=custom", f"--file={dump}", _plain(made))

        _score_half_way(made, back_up)
        _run(folder / "pg_restore", f"--dbname={_plain(restored)}", "--exit-on-error", str(dump))
        _go_on_and_prove(restored)


def _score_half_way(url: str, back_up: Callable[[], None]) -> None:
    """Take the backup while two of three shards are done and the third is held, then finish the job."""
    with opened_engine(url) as engine:
        prepare_database(engine)
        load_book(engine, range(RECORDS), reject_budget=1.0)
        add_model(engine)
        job = start_scoring(engine, shard_rows=RECORDS // 3)
        for _ in range(2):
            assert _score_next(engine)
        held = claim_shard(engine, "scoring", worker="lost", lease_seconds=600)
        assert held is not None
        back_up()
        complete_scored_shard(engine, held, replace(result_for(engine, held)), worker="lost")
        assert get_job(engine, job.id).state is JobState.DONE


def _go_on_and_prove(url: str) -> None:
    """What was held when the backup was made is free as soon as its lease has run out."""
    with opened_engine(url) as engine:
        prepare_database(engine)
        job = get_job(engine, 1)
        assert (job.state, job.scored, job.shards_open) == (JobState.RUNNING, RECORDS * 2 // 3, 1)
        assert not _score_next(engine), "the lease is still another's"
        with writing(engine) as connection:
            connection.execute(update(shards).values(lease_until=None))
        assert sweep(engine, max_attempts=3) == 1
        assert _score_next(engine)
        found = verify_job(engine, job.id)
        assert (found.job.state, found.scored, found.problems) == (JobState.DONE, RECORDS, ())


def _score_next(engine: Engine) -> bool:
    claimed = claim_shard(engine, "scoring", worker="w", lease_seconds=600)
    if claimed is None:
        return False
    found = result_for(engine, claimed)
    digest = score_digest(list(found.record_keys), list(found.probabilities), MODEL)
    complete_scored_shard(engine, claimed, replace(found, digest=digest), worker="w")
    return True


def _plain(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def _run(*command: str | Path) -> None:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
