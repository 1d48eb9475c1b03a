"""Free texts that may name a person by accident, such as an error that quotes a key or a reason that someone typed.

Tidemark writes no key into them; a database's error or a person may. A short or numeric key counts where it stands in
quotes or brackets, since a count may look like it; any other one wherever it stands as a word.
"""

import re
from collections import Counter
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Table, func, or_, select, update

from db.erasure.erasure_proof import Place
from db.schema.api_tables import webhook_deliveries
from db.schema.core_tables import events, jobs, shards
from db.schema.model_tables import decisions

REDACTED = "(erased)"
_LEAST_TELLING = 6  # characters


def redact_texts(connection: Connection, portfolio: str, keys: tuple[str, ...]) -> Counter[str]:
    """Remove the keys from the texts of the portfolio, in the erasure's transaction; return their number by table."""
    counted = Counter[str]()
    pattern = _pattern(keys)
    for column, of_portfolio in _texts(portfolio):
        for row_id, text in _find(connection, column, of_portfolio, keys):
            is_unique = column is jobs.c.idempotency_key
            redacted = f"{REDACTED} {row_id}" if is_unique else pattern.sub(REDACTED, text)
            connection.execute(update(column.table).where(column.table.c.id == row_id).values({column: redacted}))
            counted[_place_of(column)] += 1
    return counted


def count_texts(connection: Connection, portfolio: str, keys: tuple[str, ...]) -> list[Place]:
    """Return how many texts still name one of the keys, by place."""
    left = Counter[str]()
    for column, of_portfolio in _texts(portfolio):
        left[_place_of(column)] += len(_find(connection, column, of_portfolio, keys))
    return [Place(name, left=count) for name, count in left.items()]


def _texts(portfolio: str) -> list[tuple[Column[Any], ColumnElement[bool]]]:
    own_jobs = select(jobs.c.id).where(jobs.c.portfolio == portfolio)
    of_job = jobs.c.portfolio == portfolio
    of_event = or_(events.c.portfolio == portfolio, events.c.job_id.in_(own_jobs))
    event_ids = select(events.c.id).where(of_event)
    return [
        (events.c.why, of_event),
        (jobs.c.detail, of_job),
        (jobs.c.unusable_reason, of_job),
        (jobs.c.idempotency_key, of_job),
        (shards.c.error, shards.c.job_id.in_(own_jobs)),
        (decisions.c.reason, decisions.c.portfolio == portfolio),
        (webhook_deliveries.c.error, webhook_deliveries.c.event_id.in_(event_ids)),
    ]


def _place_of(column: Column[Any]) -> str:
    table: Table = column.table  # pyright: ignore[reportAssignmentType]
    return f"{table.name}.{column.name}"


def _find(
    connection: Connection, column: Column[Any], of_portfolio: ColumnElement[bool], keys: tuple[str, ...]
) -> list[tuple[int, str]]:
    place = func.strpos if connection.dialect.name == "postgresql" else func.instr
    holds = or_(*(place(column, key) > 0 for key in keys))
    rows = connection.execute(select(column.table.c.id, column).where(of_portfolio, holds))
    pattern = _pattern(keys)
    return [(row[0], row[1]) for row in rows if pattern.search(row[1])]


def _pattern(keys: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(_form(key) for key in keys))


def _form(key: str) -> str:
    is_telling = len(key) >= _LEAST_TELLING and not key.isdecimal()
    before, after = (r"(?<!\w)", r"(?!\w)") if is_telling else (r"(?<=['\"(=])", r"(?=['\")])")
    return f"{before}{re.escape(key)}{after}"
