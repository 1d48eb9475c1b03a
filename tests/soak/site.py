"""The installation under soak: PostgreSQL, Redis, two schedulers, workers, the API, and five books of customers."""

import secrets
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pandas as pd
import psutil
import psycopg
from pandas.api.types import is_numeric_dtype
from psycopg import sql
from sqlalchemy import Engine

from db.connections.engine import open_engine
from scheduler.demo.simulator import simulate_customers, simulated_portfolio
from scheduler.installation.supervision import ChildProcess, Supervisor
from tests.flow.installation import Installation
from tests.servers import PostgresServer, RedisServer, newest_postgres
from tests.servers.processes import ServerError, free_port
from tests.waiting import wait_for

QUIET, SEALED, SLOW = "quiet", "sealed", "slow"
BUSY = ("alpha", "beta")
BOOKS = {"alpha": 5_000, "beta": 3_000, QUIET: 1_500, SEALED: 1_500, SLOW: 1_500}
KEY = "customer_id"
DATABASE, OWNER = "tidemark_soak", "tidemark_app"  # not the superuser: a source can be taken away from it
START_SECONDS, TRAIN_SECONDS = 180.0, 900.0
_SETTINGS = {
    "TIDEMARK_LEASE_SECONDS": "20",
    "TIDEMARK_HEARTBEAT_SECONDS": "2",
    "TIDEMARK_SWEEP_SECONDS": "1",
    "TIDEMARK_PAUSE_SECONDS": "3",
    "TIDEMARK_SHARD_ROWS": "250",
    "TIDEMARK_WEBHOOK_PRIVATE_ADDRESSES": "true",
}


@dataclass
class Book:
    """A portfolio and the people in it. The lock is held while its file is loaded or one of them is erased."""

    name: str
    frame: pd.DataFrame
    erased: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def some(self, random: Random, count: int) -> pd.DataFrame:
        """Some of its people."""
        return self.frame.sample(min(count, len(self.frame)), random_state=random.randrange(2**31))


class Site:
    """Servers, processes and books. Everything that it holds ends with `close`."""

    def __init__(self, folder: Path, seed: int, *, on_event: Callable[[str], None]) -> None:
        self.folder = folder
        self._on_event = on_event
        binaries = newest_postgres()
        if binaries is None:
            raise ServerError("PostgreSQL is missing: install requirements-test.lock")
        self.postgres = PostgresServer(binaries, {"max_connections": "200"})
        self.redis = RedisServer(uses_tcp=True, is_persistent=True)
        self.postgres.start()
        self.redis.start()
        self._make_database()
        self.database_url = self.postgres.url(DATABASE).replace("://tidemark@", f"://{OWNER}@")
        self.api_port = free_port()
        own = {
            "TIDEMARK_DATABASE_URL": self.database_url,
            "TIDEMARK_REDIS_URL": self.redis.url,
            "TIDEMARK_API_PORT": str(self.api_port),
            "TIDEMARK_API_REQUESTS_PER_MINUTE": "100000",
        }
        self.installation = Installation(folder, own | _SETTINGS)
        self.installation.run("database", "upgrade")
        self.engine: Engine = open_engine(self.database_url)
        self.superuser: Engine = open_engine(self.postgres.url(DATABASE))  # sees every table, whoever owns it
        self.books = {name: self._make_book(name, rows, seed) for name, rows in BOOKS.items()}
        self.admin_key = self.installation.json("key", "create", "soak", "--role", "admin")["key"]
        self.processes = self._build_processes()
        self._supervisor = Supervisor(list(self.processes.values()), folder / "locks", on_event=on_event)
        self._ending = threading.Event()
        self._tending = threading.Thread(target=self._tend, name="supervisor", daemon=True)

    def start(self) -> None:
        """Start every process and wait until the API is ready."""
        self._tending.start()
        with self.client() as client:
            wait_for(lambda: _answers(client), START_SECONDS, "the API to answer")

    def client(self) -> httpx.Client:
        """A client of the API with the administrator's key."""
        address = f"http://127.0.0.1:{self.api_port}"
        return httpx.Client(base_url=address, headers={"Authorization": f"Bearer {self.admin_key}"}, timeout=60)

    def connect(self) -> psycopg.Connection[Any]:
        """A connection of the superuser, who takes tables away and gives them back."""
        return self.postgres.connect(DATABASE)

    def train_everything(self, epochs: int = 2) -> dict[str, list[str]]:
        """Train a champion for each book, and a second version of the busy ones; return the versions."""
        versions: dict[str, list[str]] = {}
        wanted = [(name, seed) for name in BOOKS for seed in ((1, 2) if name in BUSY else (1,))]
        with self.client() as client:
            for name, seed in wanted:
                asked = {"kind": "training", "portfolio": name, "epochs": epochs, "seed": seed, "trees": False}
                job = client.post("/v1/jobs", json=asked).raise_for_status().json()["job"]
                done = wait_for(lambda job=job: _ended(client, job), TRAIN_SECONDS, f"training of {name}")
                if done["state"] != "done":
                    raise ServerError(f"training of {name}: {done['state']}, {done['detail']}\n{self.logs()}")
                versions.setdefault(name, []).append(done["model_version"])
                self._on_event(f"trained {name}: {done['model_version']}")
        return versions

    def family(self, name: str) -> list[psutil.Process]:
        """A process of ours with its children; none while it is down."""
        pid = self.processes[name].pid
        try:
            return [] if pid is None else [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def logs(self) -> str:
        """The end of every log."""
        files = sorted((self.folder / "home" / "logs").glob("*"))
        return "\n".join(f"--- {path.name}\n{path.read_text(errors='replace')[-1500:]}" for path in files)

    def close(self) -> None:
        """Stop every process, then the servers."""
        self._ending.set()
        if self._tending.is_alive():
            self._tending.join()
        self._supervisor.stop()
        self.engine.dispose()
        self.superuser.dispose()
        self.redis.kill()
        self.postgres.stop("immediate")

    def _tend(self) -> None:
        while not self._ending.wait(0.5):
            self._supervisor.tend()

    def _make_database(self) -> None:
        with self.postgres.connect() as connection:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(OWNER)))
            made = sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(DATABASE), sql.Identifier(OWNER))
            connection.execute(made)

    def _make_book(self, name: str, rows: int, seed: int) -> Book:
        frame = simulate_customers(rows, seed + len(name), unlabelled_share=0.2, text_keys=True)
        frame = frame.drop(columns=["true_probability", "true_outcome"])
        # Each key is found wherever it may be left, and nowhere by chance.
        frame[KEY] = [f"soak-{name}-{row:06d}-{secrets.token_hex(6)}" for row in range(rows)]
        portfolio, data = self.folder / f"{name}.toml", self.folder / f"{name}.csv"
        text = simulated_portfolio().replace('"simulated_book"', f'"{name}"', 1)
        portfolio.write_text(text)
        frame.to_csv(data, index=False)
        if name in (SEALED, SLOW):
            self._make_foreign_source(name, frame)
        self.installation.run("portfolio", "add", str(portfolio))
        if name not in (SEALED, SLOW):
            self.installation.run("load", name, str(data))
        self._on_event(f"made {name}: {rows} records")
        return Book(name, frame)

    def _make_foreign_source(self, name: str, frame: pd.DataFrame) -> None:
        """A table of somebody else, that is read through a view which may take its time."""
        kinds = ["double precision" if is_numeric_dtype(frame[one]) else "text" for one in frame]
        columns = sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(one), sql.SQL(kind)) for one, kind in zip(frame, kinds, strict=True)
        )
        rows, pace, view, owner = (sql.Identifier(one) for one in (f"{name}_rows", f"{name}_pace", name, OWNER))
        with self.connect() as connection:
            connection.execute(sql.SQL("CREATE TABLE {} ({})").format(rows, columns))
            connection.execute(sql.SQL("CREATE TABLE {} AS SELECT 0::double precision AS seconds").format(pace))
            made = "CREATE VIEW {} AS SELECT {}.* FROM {}, (SELECT pg_sleep(seconds) FROM {} LIMIT 1) AS slowly"
            connection.execute(sql.SQL(made).format(view, rows, rows, pace))
            connection.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(view, owner))
            with connection.cursor().copy(sql.SQL("COPY {} FROM STDIN WITH (FORMAT csv)").format(rows)) as copy:
                copy.write(frame.to_csv(index=False, header=False))

    def _build_processes(self) -> dict[str, ChildProcess]:
        commands = {
            "scheduler-1": ("scheduler",),
            "scheduler-2": ("scheduler",),
            "scoring": ("worker", "--queues", "scoring", "--concurrency", "2"),
            "learning": ("worker", "--queues", "training", "--concurrency", "1"),
            "monitoring": ("worker", "--queues", "monitoring", "--concurrency", "1"),
            "api": ("api",),
        }
        environment = self.installation.environment | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(Path.cwd())}
        logs = self.folder / "home" / "logs"
        start = (sys.executable, "-m", "scheduler.cli.main")
        return {
            name: ChildProcess(name, (*start, *words), environment, logs / f"{name}.log")
            for name, words in commands.items()
        }


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.HTTPError:
        return False


def _ended(client: httpx.Client, job_id: int) -> dict[str, Any] | None:
    job = client.get(f"/v1/jobs/{job_id}").raise_for_status().json()
    return None if job["state"] in {"queued", "running", "paused"} else job
