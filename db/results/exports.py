"""Reads a job's scores and rejects back, in key order, a page at a time."""

import json
from collections.abc import Iterator
from typing import Any

import pandas as pd
from sqlalchemy import Column, Engine, Select, literal, select, tuple_

from db.connections.engine import reading
from db.ledger.job_lifecycle import Job, get_job
from db.privacy.erased_keys import read_erasures
from db.schema.core_tables import rejects, scores

PAGE_ROWS = 50_000
REASON_COLUMNS = ("reason_1", "reason_2", "reason_3", "reason_4")
SCORE_COLUMNS = ("record_key", "probability", "points", "band", "model_version", *REASON_COLUMNS)
REJECT_COLUMNS = ("record_key", "field", "reason", "detail")


def read_scores(engine: Engine, job_id: int, *, page_rows: int = PAGE_ROWS) -> Iterator[pd.DataFrame]:
    """Yield the scores of a job with `SCORE_COLUMNS`, ordered by key, a page at a time."""
    job = get_job(engine, job_id)
    named = [scores.c[name] for name in ("record_key", "probability", "points", "band", "reasons")]
    statement = select(*named, literal(job.model_version).label("model_version")).where(scores.c.job_id == job_id)
    for page in _read_pages(engine, job, statement, (scores.c.record_key,), page_rows):
        yield page.drop(columns="reasons").join(split_reasons(page["reasons"]))


def split_reasons(texts: "pd.Series[str]") -> pd.DataFrame:
    """Return the columns `REASON_COLUMNS` of JSON arrays of codes; None if a record has fewer, or no array."""
    lists = {text: json.loads(text) if text else [] for text in texts.unique()}
    padded = {text: [*codes, *[None] * len(REASON_COLUMNS)][: len(REASON_COLUMNS)] for text, codes in lists.items()}
    rows = [padded[text] for text in texts]
    return pd.DataFrame(rows, columns=list(REASON_COLUMNS), index=texts.index, dtype="object")


def read_rejects(engine: Engine, job_id: int, *, page_rows: int = PAGE_ROWS) -> Iterator[pd.DataFrame]:
    """Yield the rejects of a job with `REJECT_COLUMNS`, ordered by shard and position, a page at a time."""
    job = get_job(engine, job_id)
    order = (rejects.c.shard_id, rejects.c.ordinal)
    statement = select(*(rejects.c[name] for name in REJECT_COLUMNS), *order).where(rejects.c.job_id == job_id)
    for page in _read_pages(engine, job, statement, order, page_rows):
        yield page[list(REJECT_COLUMNS)]


def _read_pages(
    engine: Engine, job: Job, statement: Select[Any], order: tuple[Column[Any], ...], page_rows: int
) -> Iterator[pd.DataFrame]:
    """Pages by the last key read, each in its own transaction, so that no snapshot is held for long.

    A page is returned if no one was erased from the portfolio while it was read; otherwise it is read again.
    """
    page = statement.order_by(*order).limit(page_rows)
    last: tuple[Any, ...] | None = None
    while True:
        following = page if last is None else page.where(tuple_(*order) > tuple_(*(literal(value) for value in last)))
        erasures_before = read_erasures(engine, job.portfolio)
        with reading(engine) as connection:
            result = connection.execute(following)
            rows = result.all()
        if not rows:
            return
        if read_erasures(engine, job.portfolio) != erasures_before:
            continue
        yield pd.DataFrame.from_records(rows, columns=list(result.keys()))
        # From the row, not the frame: SQLite stores numpy's integers as bytes.
        last = tuple(getattr(rows[-1], column.name) for column in order)
