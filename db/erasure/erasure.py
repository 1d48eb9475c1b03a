"""Erases a person's records, scores, rejects and outcomes in one transaction, then counts what is left.

Work that read the person before the transaction writes nothing of it afterwards (`db.privacy.erased_keys`). What is
proven, and what is not, is an `Erasure` (`db.erasure.erasure_proof`).
"""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import BigInteger, Column, ColumnElement, Connection, Engine, Table, Text, cast, delete, func, select

from db.connections.engine import reading, writing
from db.erasure.erased_boundaries import count_boundaries, forget_boundaries_of
from db.erasure.erased_requests import count_requests, forget_requests_of
from db.erasure.erased_texts import count_texts, redact_texts
from db.erasure.erasure_bytes import empty_log, overwrite_free_space
from db.erasure.erasure_proof import BEYOND_POSTGRESQL, BEYOND_REACH, Erasure, Place
from db.errors import SourceError
from db.events.event_log import record_event
from db.ledger.digests import score_digest
from db.monitoring.night_bands import forget_bands
from db.portfolios.catalog import find_portfolio
from db.portfolios.portfolio_sources import NamedSource, list_sources, note_sources
from db.portfolios.source_grants import is_granted, is_made_by_load
from db.portfolios.source_names import name_source
from db.privacy.erased_keys import begin_erasure, mark_erased, were_marked
from db.privacy.key_hashing import hash_key
from db.privacy.key_secret import why_hashes_are_unseen
from db.results.removals import note_removal
from db.schema.all_tables import metadata
from db.schema.core_tables import jobs, rejects, scores, shards
from db.schema.states import RemovalCause
from db.sources.source_table import find_source

_WHOLE_KEY = re.compile(r"0|-?[1-9][0-9]{0,17}")  # as PostgreSQL writes it
HASHED_KEYS = "results under hashed keys"


@dataclass(frozen=True)
class Person:
    """The person to erase: the key as in the source, and the secret of its hash, if there is one."""

    portfolio: str
    key: str
    key_secret: str | None = None

    @property
    def hashes(self) -> tuple[str, ...]:
        """The forms that the key may have in results."""
        return () if self.key_secret is None else (hash_key(self.key_secret, self.portfolio, self.key),)

    @property
    def keys(self) -> tuple[str, ...]:
        """Every form that the key may have."""
        return (self.key, *self.hashes)


def erase_record(engine: Engine, person: Person, *, who: str, extra: tuple[Place, ...] = ()) -> Erasure:
    """Erase every row of a portfolio's person, under every form of its key; then count what is left.

    A source that Tidemark did not create is only counted: its owner has to erase there. The event log has
    counts, not the key. Erasing again finds nothing. `extra` are places outside of the database that were checked.
    Raises `NotFoundError` for an unknown portfolio.
    """
    portfolio, keys = person.portfolio, person.keys
    free_space = overwrite_free_space(engine)
    with writing(engine) as connection:
        definition = find_portfolio(connection, portfolio).definition
        erasure = begin_erasure(connection, portfolio)
        was_erased_before = were_marked(connection, portfolio, keys)
        mark_erased(connection, erasure, keys)
        note_sources(connection, definition)
        sources = list_sources(connection, portfolio)
        erased = Counter[str]()
        foreign = [one.source.name for one in sources if not _erase_in_source(connection, one, keys, erased)]
        found = _note_scores(connection, portfolio, keys)
        for table in _tables_with_keys():
            gone = delete(table).where(_is_person(table, portfolio, keys))
            erased[table.name] = connection.execute(gone).rowcount
        erased[shards.name] = forget_boundaries_of(connection, portfolio, keys)
        erased += forget_requests_of(connection, definition, keys)
        erased += redact_texts(connection, portfolio, keys)
        unseen = why_hashes_are_unseen(
            connection, definition, person.key_secret, found=found & frozenset(person.hashes)
        )
        summary = ", ".join(f"{count} of {name}" for name, count in erased.items() if count) or "nothing was found"
        record_event(connection, "record.erased", who=who, portfolio=portfolio, why=summary)
    bytes_of_rows = [one for one in (free_space, empty_log(engine)) if one is not None]
    left = _count_left(engine, person, sources)
    places = [replace(one, erased=erased[one.name]) for one in left]
    places += [Place(HASHED_KEYS, unseen=unseen)] if unseen is not None else []
    beyond = BEYOND_REACH + (BEYOND_POSTGRESQL if engine.dialect.name == "postgresql" else ())
    foreign_left = tuple(dict.fromkeys(foreign))
    return Erasure((*places, *extra, *bytes_of_rows), foreign_left, beyond, was_erased_before)


def _erase_in_source(connection: Connection, named: NamedSource, keys: tuple[str, ...], erased: Counter[str]) -> bool:
    """Erase in a source that was made for the portfolio; False if the source is someone else's."""
    table = find_source(connection, named.source)
    if table is None or named.key not in table.c:
        return not _is_out_of_sight(connection, named)
    if not is_made_by_load(connection, named.source):
        return False
    gone = delete(table).where(_names_person(connection, table.c[named.key], keys))
    erased[named.source.name] += connection.execute(gone).rowcount
    return True


def _names_person(connection: Connection, key: Column[Any], keys: tuple[str, ...]) -> ColumnElement[bool]:
    """Compare in the column's own type where that is certain to be the same: an index on millions of events is used."""
    if connection.dialect.name == "postgresql" and isinstance(key.type, BigInteger):
        numbers = [int(one) for one in keys if _WHOLE_KEY.fullmatch(one)]
        return key.in_(numbers)
    is_text = type(key.type) is Text and connection.dialect.name == "postgresql"
    return (key if is_text else cast(key, Text)).in_(keys)


def _is_out_of_sight(connection: Connection, named: NamedSource) -> bool:
    """Whether the source may not be read: its grant was revoked, or was never given to this portfolio."""
    try:
        name = name_source(connection, named.source.name)
    except SourceError:  # Tidemark's own, or the database's
        return True
    # The table's existence is not checked: the answer would reveal tables of other portfolios.
    return not is_granted(connection, named.source.portfolio, name)


def _note_scores(connection: Connection, portfolio: str, keys: tuple[str, ...]) -> frozenset[str]:
    """Keep the digest of each deleted score, so that the rest of its job can be verified; return the keys found."""
    columns = (scores.c.job_id, scores.c.record_key, scores.c.probability, jobs.c.model_version)
    found = select(*columns).join(jobs, jobs.c.id == scores.c.job_id)
    going: dict[int, list[Any]] = defaultdict(list)
    for row in connection.execute(found.where(jobs.c.portfolio == portfolio, scores.c.record_key.in_(keys))):
        going[row.job_id].append(row)
    listed = select(rejects.c.job_id, rejects.c.record_key).join(jobs, jobs.c.id == rejects.c.job_id)
    refused = connection.execute(listed.where(jobs.c.portfolio == portfolio, rejects.c.record_key.in_(keys))).all()
    rejected = Counter(row.job_id for row in refused)
    for job_id in sorted({*going, *rejected}):
        rows = going[job_id]
        version = str(rows[0].model_version) if rows else ""
        digest = score_digest([row.record_key for row in rows], [row.probability for row in rows], version)
        gone = {"scores": len(rows), "rejects": rejected[job_id]}
        note_removal(connection, job_id, RemovalCause.ERASURE, digest=digest, **gone)
        forget_bands(connection, job_id, keys)
    return frozenset(row.record_key for row in (*refused, *(one for rows in going.values() for one in rows)))


def _tables_with_keys() -> list[Table]:
    """Every table of Tidemark with record keys, including tables added later."""
    return [table for table in metadata.sorted_tables if "record_key" in table.c]


def _is_person(table: Table, portfolio: str, keys: tuple[str, ...]) -> ColumnElement[bool]:
    is_key = table.c.record_key.in_(keys)
    if "portfolio" in table.c:
        return is_key & (table.c.portfolio == portfolio)
    return is_key & table.c.job_id.in_(select(jobs.c.id).where(jobs.c.portfolio == portfolio))


def _count_left(engine: Engine, person: Person, sources: list[NamedSource]) -> list[Place]:
    portfolio, keys = person.portfolio, person.keys
    with reading(engine) as connection:
        definition = find_portfolio(connection, portfolio).definition
        places = _count_in_sources(connection, sources, keys)
        for table in _tables_with_keys():
            found = select(func.count()).select_from(table).where(_is_person(table, portfolio, keys))
            places.append(Place(table.name, left=connection.execute(found).scalar_one()))
        places.append(
            Place(shards.name, left=count_boundaries(connection, portfolio, keys), note="boundaries of key ranges")
        )
        places.append(count_requests(connection, definition, keys))
        places += count_texts(connection, portfolio, keys)
    places.append(Place("exports in progress", note="each one checks for erased persons before every page it sends"))
    return places


def _count_in_sources(connection: Connection, sources: list[NamedSource], keys: tuple[str, ...]) -> list[Place]:
    places: dict[str, Place] = {}
    for named in sources:
        place = _count_in_source(connection, named, keys)
        before = places.get(place.name, Place(place.name))
        places[place.name] = replace(place, left=place.left + before.left, unseen=place.unseen or before.unseen)
    return list(places.values())


def _count_in_source(connection: Connection, named: NamedSource, keys: tuple[str, ...]) -> Place:
    name, table = named.source.name, find_source(connection, named.source)
    if _is_out_of_sight(connection, named):
        return Place(
            name, unseen="the portfolio may not read it: grant it and erase again, or erase the record there yourself"
        )
    if table is None or named.key not in table.c:
        return Place(name, note="no longer exists" if table is None else f"has no column {named.key}")
    found = select(func.count()).select_from(table).where(_names_person(connection, table.c[named.key], keys))
    note = None if is_made_by_load(connection, named.source) else "not created by Tidemark for this portfolio"
    return Place(name, left=connection.execute(found).scalar_one(), note=note)
