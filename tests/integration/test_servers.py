"""The servers for tests are what they say: real, restartable, of the version in the test's name."""

import socket
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine, text

from tests.servers import PostgresServer, RedisServer, newest_postgres, processes
from tests.servers import postgres_binaries as binaries_module
from tests.waiting import wait_for


def test_redis_answers(redis_server: RedisServer, redis_url: str) -> None:
    with redis_server.client() as client:
        assert client.ping()
    assert redis_url.startswith("redis+socket:///")


def test_redis_is_empty_for_every_test(redis_server: RedisServer, redis_url: str) -> None:
    with redis_server.client() as client:
        assert client.dbsize() == 0
        client.set("left", "behind")


def test_redis_is_empty_for_the_next_test_too(redis_server: RedisServer, redis_url: str) -> None:
    with redis_server.client() as client:
        assert client.dbsize() == 0


@pytest.mark.parametrize("uses_tcp", [False, True])
@pytest.mark.parametrize("is_persistent", [False, True])
def test_killed_redis_keeps_its_address_and_its_data_only_when_persistent(uses_tcp: bool, is_persistent: bool) -> None:
    server = RedisServer(uses_tcp=uses_tcp, is_persistent=is_persistent)
    server.start()
    url = server.url
    with server.client() as client:
        client.set("key", "value")
    server.kill()
    assert not server.is_running
    server.start()
    with server.client() as client:
        assert client.get("key") == (b"value" if is_persistent else None)
    assert server.url == url
    server.stop()


def test_redis_takes_another_port_when_its_own_is_taken() -> None:
    server = RedisServer(uses_tcp=True)
    with socket.socket() as intruder:
        intruder.bind(("127.0.0.1", int(server.url.rsplit(":", 1)[1].split("/")[0])))
        intruder.listen()
        server.start()
        assert server.is_running
    server.stop()


def test_database_is_empty_and_of_the_version_in_the_id(
    empty_database_url: str, request: pytest.FixtureRequest
) -> None:
    engine = create_engine(empty_database_url)
    with engine.connect() as connection:
        if engine.name == "postgresql":
            version = connection.execute(text("SHOW server_version")).scalar_one()
            assert "given" in request.node.name or f"[postgresql-{version.split('.')[0]}]" in request.node.name
            assert connection.execute(text("SELECT count(*) FROM pg_stat_user_tables")).scalar_one() == 0
        else:
            assert connection.execute(text("SELECT count(*) FROM sqlite_master")).scalar_one() == 0
    engine.dispose()


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_postgres_keeps_what_was_committed_over_a_restart(postgres_server: PostgresServer, mode: str) -> None:
    with postgres_server.fresh_database() as url:
        _execute(url, "CREATE TABLE kept AS SELECT 7 AS number")
        postgres_server.restart(mode)
        assert _execute(url, "SELECT number FROM kept") == 7


def test_postgres_terminates_connections(postgres_server: PostgresServer) -> None:
    victim = postgres_server.connect("postgres")
    assert postgres_server.terminate_connections() == 1
    with pytest.raises(psycopg.OperationalError):
        victim.execute("SELECT 1")
    victim.close()


def test_postgres_takes_another_port_when_its_own_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    binaries = newest_postgres()
    assert binaries is not None
    server = PostgresServer(binaries)
    with socket.socket() as intruder:
        intruder.bind(("127.0.0.1", int(server.url("x").rsplit(":", 1)[1].split("/")[0])))
        intruder.listen()
        server.start()
        assert server.is_running
    server.stop("immediate")


def test_postgres_runs_from_a_copy_when_its_folder_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    binaries = newest_postgres()
    assert binaries is not None
    if processes.unprivileged_uid() is None:
        pytest.skip("only root needs another user")
    monkeypatch.setattr(binaries_module, "others_can_enter", lambda _folder: False)
    copied = binaries_module.reachable.__wrapped__(binaries)
    assert copied.folder != binaries.folder
    server = PostgresServer(copied)
    server.start()
    with server.connect() as connection:
        assert connection.execute("SELECT 1").fetchall() == [(1,)]
    server.stop("immediate")


def test_servers_and_folders_are_gone_when_a_run_is_interrupted(tmp_path: Path) -> None:
    with_space = tmp_path / "a b"
    with_space.mkdir()
    script = (
        "import signal, sys, tempfile; signal.signal(signal.SIGTERM, signal.default_int_handler);"
        f"tempfile.tempdir = {str(with_space)!r};"
        "from tests.servers import RedisServer; s = RedisServer(); s.start();"
        "print(s._process.pid, s.folder, flush=True); signal.pause()"
    )
    run = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert run.stdout is not None
    pid, folder = run.stdout.readline().decode().strip().split(" ", 1)
    run.terminate()
    run.wait(20)
    run.stdout.close()
    assert not Path(folder).exists()
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), 5, "the server is gone")


def _execute(url: str, statement: str) -> object:
    engine = create_engine(url)
    with engine.begin() as connection:
        found = connection.execute(text(statement))
        value = found.scalar() if found.returns_rows else None
    engine.dispose()
    return value
