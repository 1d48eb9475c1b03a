"""Faults, one after the other: processes killed, servers restarted, foreign messages, sources sealed and slow."""

import threading
from collections.abc import Callable, Mapping
from random import Random

import psutil
import redis
from psycopg import sql

from tests.soak.journal import Journal
from tests.soak.site import OWNER, SEALED, SLOW, Site

_PAUSE_SECONDS = (15.0, 45.0)
# A book's own trouble: nobody else may notice it.
OF_ONE_BOOK = ("sealed source", "slow source", "foreign messages")
_QUEUES = ("scoring", "training", "monitoring", "online")
_FOREIGN = (
    b"not json at all", b"\x80\x04\x95pickle", b"[]", b"{}", b"null", b'{"body": "e30=", "headers": {}}',
    b"1" * 100_000,
    b'{"body": "W10=", "content-type": "application/x-python-serialize", "content-encoding": "binary", "headers": {},'
    b' "properties": {"delivery_tag": "x", "delivery_info": {}, "body_encoding": "base64"}}',
)  # fmt: skip

Fault = Callable[["Saboteur"], None]


class Saboteur(threading.Thread):
    """Draws a fault, does it, heals it, and pauses; until told to stop."""

    def __init__(self, seed: str, site: Site, journal: Journal, faults: Mapping[Fault, int]) -> None:
        super().__init__(name="saboteur", daemon=True)
        self.random = Random(seed)
        self.site = site
        self.journal = journal
        self.ending = threading.Event()
        self._faults = faults

    def run(self) -> None:
        """Do harm until told to stop; every fault is healed before the next one."""
        while not self.ending.wait(self.random.uniform(*_PAUSE_SECONDS)):
            fault = self.random.choices([*self._faults], [*self._faults.values()])[0]
            with self.journal.harm(fault.__name__.replace("_", " ")):
                fault(self)

    def hold(self, seconds: float) -> None:
        """Leave things harmed for a while."""
        self.ending.wait(seconds)


def kill_scoring_process(saboteur: Saboteur) -> None:
    """SIGKILL a child that scores."""
    children = saboteur.site.family("scoring")[1:]
    if children:
        _kill(saboteur.random.choice(children))


def kill_a_worker(saboteur: Saboteur) -> None:
    """SIGKILL a worker with its children."""
    _kill(*saboteur.site.family(saboteur.random.choice(["scoring", "learning", "monitoring"])))


def kill_a_scheduler(saboteur: Saboteur) -> None:
    """SIGKILL one of the two schedulers."""
    _kill(*saboteur.site.family(saboteur.random.choice(["scheduler-1", "scheduler-2"])))


def kill_the_api(saboteur: Saboteur) -> None:
    """SIGKILL the API."""
    _kill(*saboteur.site.family("api"))


def restart_postgres(saboteur: Saboteur) -> None:
    """Kill PostgreSQL, and start it again after some seconds."""
    saboteur.site.postgres.stop("immediate")
    saboteur.hold(saboteur.random.uniform(1, 8))
    saboteur.site.postgres.start()


def cut_connections(saboteur: Saboteur) -> None:
    """Cut every connection to PostgreSQL."""
    saboteur.site.postgres.terminate_connections()


def restart_redis(saboteur: Saboteur) -> None:
    """Kill Redis, and start it again after some seconds."""
    saboteur.site.redis.kill()
    saboteur.hold(saboteur.random.uniform(1, 8))
    saboteur.site.redis.start()


def empty_redis(saboteur: Saboteur) -> None:
    """FLUSHALL."""
    with saboteur.site.redis.client() as client:
        client.flushall()


def foreign_messages(saboteur: Saboteur) -> None:
    """Put messages into the queues that are not ours."""
    with saboteur.site.redis.client() as client:
        for queue in _QUEUES:
            try:
                client.lpush(queue, *saboteur.random.sample(_FOREIGN, 3))
            except redis.RedisError:
                return


def sealed_source(saboteur: Saboteur) -> None:
    """Take a book's source away from Tidemark, and have it scored all the same."""
    view, owner = sql.Identifier(SEALED), sql.Identifier(OWNER)
    _as_superuser(saboteur, sql.SQL("REVOKE SELECT ON {} FROM {}").format(view, owner))
    _ask_for(saboteur, SEALED)
    saboteur.hold(20)
    _as_superuser(saboteur, sql.SQL("GRANT SELECT ON {} TO {}").format(view, owner))


def slow_source(saboteur: Saboteur) -> None:
    """Let every look at a book's source take 25 s, and have it scored all the same."""
    pace = sql.Identifier(f"{SLOW}_pace")
    _as_superuser(saboteur, sql.SQL("UPDATE {} SET seconds = 25").format(pace))
    _ask_for(saboteur, SLOW)
    saboteur.hold(20)
    _as_superuser(saboteur, sql.SQL("UPDATE {} SET seconds = 0").format(pace))


def _as_superuser(saboteur: Saboteur, statement: sql.Composed) -> None:
    with saboteur.site.connect() as connection:
        connection.execute(statement)


def _ask_for(saboteur: Saboteur, book: str) -> None:
    with saboteur.site.client() as client:
        client.post("/v1/jobs", json={"kind": "scoring", "portfolio": book, "priority": "interactive"})


def _kill(*processes: psutil.Process) -> None:
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


ALL: dict[Fault, int] = {
    kill_scoring_process: 4, kill_a_worker: 2, kill_a_scheduler: 2, kill_the_api: 1, restart_postgres: 1,
    cut_connections: 2, restart_redis: 1, empty_redis: 2, foreign_messages: 2, sealed_source: 2, slow_source: 2,
}  # fmt: skip
