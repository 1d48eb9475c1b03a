"""A real PostgreSQL server on a port of 127.0.0.1, and the databases that tests make in it."""

import os
import signal
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from tests.servers.postgres_binaries import PostgresBinaries, reachable
from tests.servers.processes import (
    ServerError,
    at_end,
    end_process,
    free_port,
    make_folder,
    unprivileged,
    unprivileged_uid,
)
from tests.waiting import wait_for

USER = "tidemark"
START_SECONDS = 30.0
PORT_TRIES = 10
CLONES_FROM = 18  # the version of PostgreSQL that can
STOP_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT, "kill": signal.SIGKILL}


class GivenPostgres:
    """A server that somebody else runs: tests only make databases in it."""

    _clones = False  # whether the server copies a database by cloning its files

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)

    def url(self, database: str) -> str:
        """The URL of a database for SQLAlchemy."""
        return urlunsplit(self._parts._replace(scheme="postgresql+psycopg", path=f"/{database}"))

    def connect(self, database: str | None = None, **options: Any) -> psycopg.Connection[tuple[Any, ...]]:
        """Open a connection that commits every statement, by default to the database that servers are managed from."""
        name = database or self._parts.path.strip("/") or "postgres"
        url = urlunsplit(self._parts._replace(scheme="postgresql", path=f"/{name}"))
        return psycopg.connect(url, **({"autocommit": True, "connect_timeout": 10} | options))

    @contextmanager
    def fresh_database(self, template: str | None = None) -> Iterator[str]:
        """Give the URL of an empty database or a copy of another, dropped at the end whoever is still connected."""
        name = self.make_database("tidemark_test", template)
        try:
            yield self.url(name)
        finally:
            with self.connect() as connection:
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def make_database(self, prefix: str, template: str | None = None) -> str:
        """Make an empty database, or a copy of one that nobody is connected to, and return its name."""
        name = f"{prefix}_{uuid.uuid4().hex[:12]}"  # two test runs may share a server
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        statement = statement.format(sql.Identifier(name), sql.Identifier(template or "template1"))
        with self.connect() as connection:
            if self._clones:
                try:
                    connection.execute(statement + sql.SQL(" STRATEGY FILE_COPY"))
                except psycopg.errors.IoError:  # not every file system clones files
                    self._clones = False
                else:
                    return name
            connection.execute(statement)
        return name

    def terminate_connections(self) -> int:
        """Cut every connection but our own, as a failing server would; return how many were cut."""
        statement = (
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        with self.connect() as connection:
            return int(connection.execute(statement).fetchall()[0][0])


class PostgresServer(GivenPostgres):
    """A server of our own: it can be stopped, killed and started again at the same address."""

    def __init__(self, binaries: PostgresBinaries, settings: Mapping[str, str] | None = None) -> None:
        self._settings = dict(settings or {})
        self.version = binaries.version
        if self.version >= CLONES_FROM:
            # The kernel clones the template's files in 0.03 s, where a copy through the log takes half a second.
            self._clones = True
            self._settings = {"file_copy_method": "clone"} | self._settings
        self._binaries = reachable(binaries)
        self._folder = make_folder(f"pg{binaries.version}", owner=unprivileged_uid())
        self._process: subprocess.Popen[bytes] | None = None
        self._use_port(free_port())
        at_end(lambda: self.stop("immediate"))

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it and wait until it answers; on the first start a port that is taken is changed."""
        is_first = self._process is None
        if is_first:
            self._run_initdb()
        for _ in range(PORT_TRIES if is_first else 1):
            self._launch()
            wait_for(lambda: not self.is_running or self._answers(), START_SECONDS, "PostgreSQL answers or ends")
            if self.is_running:
                return
            if is_first:
                self._use_port(free_port())
        raise ServerError(f"PostgreSQL {self.version} does not start: {self._read_log()}")

    def stop(self, mode: str = "fast") -> None:
        """Stop it: "smart", "fast", "immediate" (no checkpoint, recovery at the next start) or "kill"."""
        if self._process is not None:
            end_process(self._process, STOP_SIGNALS[mode])

    def restart(self, mode: str = "fast") -> None:
        """Stop it and start it at the same address; what was committed is there."""
        self.stop(mode)
        self.start()

    def give(self, disk: Path) -> None:
        """Make a folder `tables` on a disk that belongs to the user the server runs as."""
        tables = disk / "tables"
        tables.mkdir()
        uid = unprivileged_uid()
        if uid is not None:
            os.chown(tables, uid, -1)

    def _use_port(self, port: int) -> None:
        super().__init__(f"postgresql://{USER}@127.0.0.1:{port}/postgres")
        self._port = port

    def _run_initdb(self) -> None:
        # Trust is fine: the server listens on this machine alone and holds nothing but test data.
        options = ["--username", USER, "--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync"]
        command = [self._binaries.folder / "initdb", "--pgdata", self._folder / "data", *options]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self._folder, check=False, **unprivileged())
        if done.returncode != 0:
            raise ServerError(f"initdb of PostgreSQL {self.version} failed: {done.stderr[-1000:]}")

    def _launch(self) -> None:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self._port),
            "unix_socket_directories": "",
            "fsync": "off",  # the machine will not lose power between two tests
            "shared_buffers": "32MB",
        } | self._settings
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self._folder / "postgres.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._binaries.folder / "postgres", "-D", self._folder / "data", *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._folder, start_new_session=True,
                **unprivileged(),
            )  # fmt: skip

    def _answers(self) -> bool:
        """Another server may sit on the port: only our own data folder counts."""
        try:
            with self.connect(connect_timeout=2) as connection:
                values = connection.execute("SELECT current_setting('data_directory')").fetchall()[0][0]
        except psycopg.Error:
            return False
        return values == str(self._folder / "data")

    def _read_log(self) -> str:
        return (self._folder / "postgres.log").read_text(errors="replace")[-1000:]
