"""Erases one person: record, scores, rejects, outcomes, in one transaction; and counts again what is left."""

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Table,
    Text,
    cast,
    delete,
    func,
    or_,
    select,
    update,
)

from db.api_tables import online_requests
from db.bands import forget_bands
from db.definition import Source
from db.digest import score_digest
from db.engine import reading, translated_errors, writing
from db.errors import SourceError
from db.events import record_event
from db.every_table import metadata
from db.portfolios import find_portfolio
from db.removals import note_removal
from db.source_grants import is_made_by_load, is_revoked
from db.sources import reflect_source
from db.states import RemovalCause, ShardState
from db.tables import jobs, rejects, scores, shards


@dataclass(frozen=True)
class Erasure:
    """Rows erased and rows left, by table. `foreign` are sources that are not Tidemark's to change."""

    erased: dict[str, int]
    left: dict[str, int]
    foreign: tuple[str, ...]

    @property
    def is_proven(self) -> bool:
        """Whether nothing of the person is left anywhere, and every source could be looked at."""
        return not any(self.left.values()) and all(source in self.left for source in self.foreign)


def erase_record(engine: Engine, portfolio: str, keys: tuple[str, ...], *, who: str) -> Erasure:
    """Erase every row of a portfolio's person, whose key is written in each of these ways; then count what is left.

    A source that Tidemark did not make for this portfolio is not changed, only counted: who owns it erases there. The
    event log tells counts, not the key. Erasing again finds nothing. Raises `NotFoundError` for an unknown portfolio.
    """
    if engine.dialect.name == "sqlite":
        _overwrite_what_is_deleted(engine)
    with writing(engine) as connection:
        definition = find_portfolio(connection, portfolio).definition
        sources = tuple(dict.fromkeys((definition.records, definition.learning_records)))
        _note_scores(connection, portfolio, keys)
        erased: dict[str, int] = defaultdict(int)
        foreign: list[str] = []
        for source in sources:
            table = _find_source(connection, source)
            if table is None and is_revoked(connection, source):
                foreign.append(source.name)
            if table is None or definition.key not in table.c:
                continue
            if is_made_by_load(connection, source):
                gone = delete(table).where(cast(table.c[definition.key], Text).in_(keys))
                erased[source.name] = connection.execute(gone).rowcount
            else:
                foreign.append(source.name)
        for table in _tables_with_keys():
            gone = delete(table).where(_is_person(table, portfolio, keys))
            erased[table.name] = connection.execute(gone).rowcount
        erased[shards.name] = _forget_boundaries(connection, portfolio, keys)
        connection.execute(delete(online_requests).where(online_requests.c.portfolio == portfolio))
        told = ", ".join(f"{count} of {name}" for name, count in erased.items() if count) or "nothing was there"
        record_event(connection, "record.erased", who=who, portfolio=portfolio, why=told)
    if engine.dialect.name == "sqlite":
        _empty_log(engine)
    return Erasure(dict(erased), _count_left(engine, portfolio, keys, sources, definition.key), tuple(foreign))


def _note_scores(connection: Connection, portfolio: str, keys: tuple[str, ...]) -> None:
    """Keep the digest of each score that goes, so that the rest of its job can still be proven."""
    columns = (scores.c.job_id, scores.c.record_key, scores.c.probability, jobs.c.model_version)
    found = select(*columns).join(jobs, jobs.c.id == scores.c.job_id)
    going: dict[int, list[Any]] = defaultdict(list)
    for row in connection.execute(found.where(jobs.c.portfolio == portfolio, scores.c.record_key.in_(keys))):
        going[row.job_id].append(row)
    counted = select(rejects.c.job_id, func.count()).join(jobs, jobs.c.id == rejects.c.job_id)
    counted = counted.where(jobs.c.portfolio == portfolio, rejects.c.record_key.in_(keys)).group_by(rejects.c.job_id)
    rejected: dict[int, int] = {row[0]: row[1] for row in connection.execute(counted)}
    for job_id in sorted({*going, *rejected}):
        rows = going[job_id]
        version = str(rows[0].model_version) if rows else ""
        digest = score_digest([row.record_key for row in rows], [row.probability for row in rows], version)
        gone = {"scores": len(rows), "rejects": rejected.get(job_id, 0)}
        note_removal(connection, job_id, RemovalCause.ERASURE, digest=digest, **gone)
        forget_bands(connection, job_id, keys)


def _tables_with_keys() -> list[Table]:
    """Every table of Tidemark that names records: those of today, and those that are added tomorrow."""
    return [table for table in metadata.sorted_tables if "record_key" in table.c]


def _is_person(table: Table, portfolio: str, keys: tuple[str, ...]) -> ColumnElement[bool]:
    is_key = table.c.record_key.in_(keys)
    if "portfolio" in table.c:
        return is_key & (table.c.portfolio == portfolio)
    return is_key & table.c.job_id.in_(select(jobs.c.id).where(jobs.c.portfolio == portfolio))


def _is_boundary(portfolio: str, keys: tuple[str, ...]) -> ColumnElement[bool]:
    """Shards whose range begins or ends at the person; a boundary is the JSON of an integer or of a text."""
    forms = [form for key in keys for form in (json.dumps(key), key)]
    of_portfolio = shards.c.job_id.in_(select(jobs.c.id).where(jobs.c.portfolio == portfolio))
    return of_portfolio & or_(shards.c.key_after.in_(forms), shards.c.key_upto.in_(forms))


def _forget_boundaries(connection: Connection, portfolio: str, keys: tuple[str, ...]) -> int:
    """A range that was scored is needed no more; one that waits is, and then the person is not erased yet."""
    is_over = shards.c.state.in_((ShardState.DONE, ShardState.SPLIT))
    forgotten = update(shards).where(_is_boundary(portfolio, keys), is_over)
    return connection.execute(forgotten.values(key_after=None, key_upto=None)).rowcount


def _find_source(connection: Connection, source: Source) -> Table | None:
    try:
        return reflect_source(connection, source)
    except SourceError:
        return None


def _count_left(
    engine: Engine, portfolio: str, keys: tuple[str, ...], sources: tuple[Source, ...], key: str
) -> dict[str, int]:
    left: dict[str, int] = {}
    with reading(engine) as connection:
        for source in sources:
            table = _find_source(connection, source)
            if table is not None and key in table.c:
                is_person = or_(*(cast(table.c[key], Text) == one for one in keys))
                left[source.name] = connection.execute(
                    select(func.count()).select_from(table).where(is_person)
                ).scalar_one()
        boundaries = select(func.count()).select_from(shards).where(_is_boundary(portfolio, keys))
        left[shards.name] = connection.execute(boundaries).scalar_one()
        for table in _tables_with_keys():
            found = select(func.count()).select_from(table).where(_is_person(table, portfolio, keys))
            left[table.name] = connection.execute(found).scalar_one()
    return left


def _overwrite_what_is_deleted(engine: Engine) -> None:
    """SQLite leaves deleted rows in free pages unless it is told otherwise; the setting stays with the connection."""
    with translated_errors(engine), engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA secure_delete=ON")


def _empty_log(engine: Engine) -> None:
    """Move the write-ahead log into the database and empty it: it holds old copies of pages."""
    with translated_errors(engine), engine.connect() as connection:
        connection.rollback()
        driver = connection.connection.driver_connection
        assert driver is not None, "a connection that is open has one"
        driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
