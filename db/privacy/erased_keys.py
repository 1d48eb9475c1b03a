"""Marks of erased persons' keys: nothing read about a person before the erasure is written after it.

erase    counts its portfolio's erasures one up and marks the keys, while no result of the portfolio is being written
claim    remembers the count
write    where the count has grown since, leaves out the records whose keys were marked meanwhile

So a person who is loaded again is written by whatever was claimed after the erasure, and by nothing that was before.
The count decides, no clock.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, Engine, Select, Text, cast, delete, exists, func, insert, select, update

from db.connections.clock import now_plus
from db.connections.engine import reading, writing
from db.privacy.installation_facts import find_fact, tell_fact
from db.privacy.key_hashing import hash_key
from db.schema.core_tables import jobs, portfolios, shards
from db.schema.privacy_tables import erased_keys
from db.schema.states import ShardState

_LOCK_CLASS = 7_243_002  # any constant other than that of `db.migrations.upgrade`
_SALT = "erased_keys_salt"
# A load compares what it read before with what was erased meanwhile, and no load takes so long.
KEPT_SECONDS = 24 * 3600.0


@dataclass(frozen=True)
class ErasureCount:
    """How many persons a portfolio had erased at a moment: who wrote nothing yet compares it with a later one."""

    portfolio: str
    number: int


def count_erasures(connection: Connection, portfolio: str) -> ErasureCount:
    """Return the current count, to be compared before a later write."""
    number = connection.execute(select(portfolios.c.erasures).where(portfolios.c.name == portfolio)).scalar()
    return ErasureCount(portfolio, number or 0)


def read_erasures(engine: Engine, portfolio: str) -> ErasureCount:
    """Return the current count, like `count_erasures`."""
    with reading(engine) as connection:
        return count_erasures(connection, portfolio)


def hold_off_erasures(connection: Connection, erasures_before: ErasureCount) -> bool:
    """Make erasures of the portfolio wait for this transaction; return whether there were any since `erasures_before`.

    Called before the transaction's first lock of a row, because an erasure locks in this order too.
    """
    _lock(connection, erasures_before.portfolio, is_shared=True)
    return count_erasures(connection, erasures_before.portfolio) != erasures_before


def begin_erasure(connection: Connection, portfolio: str) -> ErasureCount:
    """Count one up exclusively: writers of the portfolio's results and this transaction wait for each other."""
    _lock(connection, portfolio, is_shared=False)
    grown = update(portfolios).where(portfolios.c.name == portfolio).values(erasures=portfolios.c.erasures + 1)
    return ErasureCount(portfolio, connection.execute(grown.returning(portfolios.c.erasures)).scalar_one())


def mark_erased(connection: Connection, erasure: ErasureCount, keys: Iterable[str]) -> None:
    """Mark keys as erased, in the erasure's transaction."""
    salt = tell_fact(connection, _SALT, secrets.token_hex(32))
    marks = {hash_key(salt, erasure.portfolio, key) for key in keys}
    own = {"portfolio": erasure.portfolio, "erasure": erasure.number}
    connection.execute(insert(erased_keys), [own | {"mark": mark} for mark in sorted(marks)])


def were_marked(connection: Connection, portfolio: str, keys: Iterable[str]) -> bool:
    """Return whether one of the keys was erased before, while its mark is kept."""
    return bool(find_erased(connection, keys, ErasureCount(portfolio, 0)))


def find_erased(connection: Connection, keys: Iterable[str | None], erasures_before: ErasureCount) -> frozenset[str]:
    """Return the keys that were erased since then; hashes nothing if none was erased."""
    since = select(erased_keys.c.mark).where(
        erased_keys.c.portfolio == erasures_before.portfolio, erased_keys.c.erasure > erasures_before.number
    )
    marks = frozenset(connection.execute(since).scalars())
    if not marks:
        return frozenset()
    salt = find_fact(connection, _SALT) or ""
    return frozenset(key for key in keys if key is not None and hash_key(salt, erasures_before.portfolio, key) in marks)


def drop_erased(connection: Connection, staged_key: Column[Any], erasures_before: ErasureCount) -> int:
    """Delete the rows of persons erased since then from a staged table; return how many."""
    dropped = 0
    erased = find_erased(connection, map(str, connection.execute(select(staged_key)).scalars()), erasures_before)
    for key in sorted(erased):
        dropped += connection.execute(delete(staged_key.table).where(cast(staged_key, Text) == key)).rowcount
    return dropped


def forget_marks(engine: Engine) -> int:
    """Delete the marks that are no longer needed; return how many.

    They are older than a day, and no shard claimed before them is still running in their portfolio.
    """
    with reading(engine) as connection:
        if connection.execute(_select_old().limit(1)).first() is None:
            return 0
    older = shards.c.claimed_erasures < erased_keys.c.erasure
    of_portfolio = shards.c.job_id.in_(select(jobs.c.id).where(jobs.c.portfolio == erased_keys.c.portfolio))
    runs = exists().where(shards.c.state == ShardState.RUNNING, older, of_portfolio)
    with writing(engine) as connection:
        return connection.execute(delete(erased_keys).where(_is_old(), ~runs)).rowcount


def _select_old() -> Select[str]:
    return select(erased_keys.c.mark).where(_is_old())


def _is_old():  # noqa: ANN202 - a condition
    return erased_keys.c.erased_at < now_plus(-KEPT_SECONDS)


def _lock(connection: Connection, portfolio: str, *, is_shared: bool) -> None:
    """Not a lock of the portfolio's row, which claims share: they would starve the erasure.

    SQLite needs no lock: its writers are serialised.
    """
    if connection.dialect.name == "postgresql":
        lock = func.pg_advisory_xact_lock_shared if is_shared else func.pg_advisory_xact_lock
        connection.execute(select(lock(_LOCK_CLASS, func.hashtext(portfolio))))
