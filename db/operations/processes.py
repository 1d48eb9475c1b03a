"""Running schedulers and workers: each records its name regularly, for people and for `doctor`."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from db.connections.clock import now_plus
from db.connections.engine import reading, writing
from db.schema.core_tables import processes

_FORGOTTEN_AFTER_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Process:
    """A recorded process."""

    name: str
    kind: str
    started_at: datetime
    seen_at: datetime
    is_alive: bool
    memory_bytes: int | None = None


def mark_seen(engine: Engine, name: str, kind: str, *, memory_bytes: int | None = None) -> None:
    """Record that the process is running, and its memory; delete those silent for a day."""
    dialect = postgresql if engine.dialect.name == "postgresql" else sqlite
    presence = dialect.insert(processes).values(name=name, kind=kind, memory_bytes=memory_bytes)
    fresh = {"seen_at": now_plus(), "memory_bytes": memory_bytes}
    presence = presence.on_conflict_do_update(index_elements=[processes.c.name], set_=fresh)
    with writing(engine) as connection:
        connection.execute(presence)
        connection.execute(delete(processes).where(processes.c.seen_at < now_plus(-_FORGOTTEN_AFTER_SECONDS)))


def forget(engine: Engine, name: str) -> None:
    """Remove a process that stops cleanly."""
    with writing(engine) as connection:
        connection.execute(delete(processes).where(processes.c.name == name))


def list_processes(engine: Engine, *, alive_within_seconds: float = 60) -> list[Process]:
    """Return every process active within a day, by name."""
    is_alive = (processes.c.seen_at >= now_plus(-alive_within_seconds)).label("is_alive")
    columns = (processes.c.name, processes.c.kind, processes.c.started_at, processes.c.seen_at, is_alive)
    statement = select(*columns, processes.c.memory_bytes).order_by(processes.c.name)
    with reading(engine) as connection:
        return [Process(*row) for row in connection.execute(statement)]
