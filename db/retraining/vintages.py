"""Realised figures of each scoring job whose outcomes are known."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, delete, func, insert, select

from db.connections.engine import reading
from db.schema.core_tables import jobs, scores
from db.schema.retraining_tables import outcomes, vintages

MOST_NIGHTS = 100  # that are looked back on
_COLUMNS = ("job_id", "portfolio", "model_version", "outcomes", "bad", "figures", "updated_at")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Vintage:
    """The outcomes of the records of one scoring job, compared with their scores."""

    job_id: int
    portfolio: str
    model_version: str
    outcomes: int
    bad: int
    figures: dict[str, Any]
    updated_at: datetime | None = None


def list_grown_vintages(engine: Engine, portfolio: str) -> list[tuple[int, str]]:
    """Return job and model version of each scoring job whose outcomes differ from those of its vintage."""
    counted = (func.count().label("outcomes"), func.sum(outcomes.c.outcome).label("bad"))
    known = select(outcomes.c.scored_job_id, *counted)
    known = known.where(outcomes.c.portfolio == portfolio, outcomes.c.scored_job_id.is_not(None))
    grouped = known.group_by(outcomes.c.scored_job_id).subquery()
    statement = (
        select(jobs.c.id, jobs.c.model_version)
        .join(grouped, grouped.c.scored_job_id == jobs.c.id)
        .outerjoin(vintages, vintages.c.job_id == jobs.c.id)
        .where(
            vintages.c.job_id.is_(None)
            | (vintages.c.outcomes != grouped.c.outcomes)
            | (vintages.c.bad != grouped.c.bad)
        )
        .order_by(jobs.c.id)
    )
    with reading(engine) as connection:
        return [(row.id, row.model_version) for row in connection.execute(statement)]


def read_judged_scores(engine: Engine, job_id: int) -> tuple[Floats, Floats]:
    """Return probabilities and newest outcomes of a job's records with a known outcome."""
    newest = select(outcomes.c.record_key, func.max(outcomes.c.id).label("id"))
    newest = newest.where(outcomes.c.scored_job_id == job_id).group_by(outcomes.c.record_key).subquery()
    statement = (
        select(scores.c.probability, outcomes.c.outcome)
        .join(newest, newest.c.id == outcomes.c.id)
        .join(scores, (scores.c.job_id == job_id) & (scores.c.record_key == outcomes.c.record_key))
    )
    with reading(engine) as connection:
        rows = connection.execute(statement).all()
    pairs = np.array([tuple(row) for row in rows], dtype=np.float64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def save_vintage(connection: Connection, vintage: Vintage) -> None:
    """Store a vintage in the caller's transaction, replacing an existing one."""
    connection.execute(delete(vintages).where(vintages.c.job_id == vintage.job_id))
    values = {name: getattr(vintage, name) for name in ("job_id", "portfolio", "model_version", "bad", "figures")}
    connection.execute(insert(vintages).values(**values, outcomes=vintage.outcomes))


def find_champion_vintages(connection: Connection, portfolio: str, version: str) -> list[Vintage]:
    """Return the vintages that a version scored, newest first, within the caller's transaction."""
    statement = select(*(vintages.c[name] for name in _COLUMNS))
    wanted = (vintages.c.portfolio == portfolio, vintages.c.model_version == version)
    rows = connection.execute(statement.where(*wanted).order_by(vintages.c.job_id.desc()).limit(MOST_NIGHTS))
    return [Vintage(*row) for row in rows]


def list_vintages(engine: Engine, portfolio: str, *, limit: int = 100) -> list[Vintage]:
    """Return a portfolio's newest vintages, newest first."""
    statement = select(*(vintages.c[name] for name in _COLUMNS)).where(vintages.c.portfolio == portfolio)
    with reading(engine) as connection:
        return [Vintage(*row) for row in connection.execute(statement.order_by(vintages.c.job_id.desc()).limit(limit))]
