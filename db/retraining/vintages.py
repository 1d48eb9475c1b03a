"""Realised figures of each scoring job whose outcomes are known, and whether its outcomes are trusted."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from db.connections.clock import now_plus
from db.connections.engine import reading
from db.portfolios.definition import PortfolioDefinition
from db.retraining.usable_outcomes import IS_USED, Maturity, find_maturity, find_usable
from db.schema.core_tables import jobs, scores
from db.schema.retraining_tables import outcomes, vintages
from db.schema.states import USED, Trust

MOST_NIGHTS = 100  # that are looked back on
# Figures: outcomes that are not final; what was measured; what the judgement of their trust was based on.
CENSORED, MEASURED, JUDGED = "censored", "measured", "judged"
_COLUMNS = (
    *("job_id", "portfolio", "model_version", "outcomes", "bad", "figures", "updated_at"),
    *("trust", "trust_reason", "trusted_by"),
)
_WRITTEN = tuple(name for name in _COLUMNS if name != "updated_at")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Vintage:
    """The outcomes of the records of one scoring job, compared with their scores.

    `trust` is None if they were not judged: a vintage of an older release, or one whose outcomes are not final.
    """

    job_id: int
    portfolio: str
    model_version: str
    outcomes: int
    bad: int
    figures: dict[str, Any]
    updated_at: datetime | None = None
    trust: Trust | None = None
    trust_reason: str | None = None
    trusted_by: str | None = None

    @property
    def is_used(self) -> bool:
        """Whether its outcomes are learned from and judged by."""
        return self.outcomes > 0 and (self.trust is None or self.trust in USED)

    @property
    def newest_id(self) -> int | None:
        """The newest outcome that was measured; None in a vintage of an older release."""
        return self.figures.get(MEASURED, {}).get("newest_id")

    @property
    def judged(self) -> dict[str, Any]:
        """What its judgement was based on."""
        return self.figures.get(JUDGED, {})

    def with_judged(self, **changes: Any) -> Self:
        """Return it with more of what its judgement was based on."""
        return replace(self, figures=self.figures | {JUDGED: self.judged | changes})

    def renumbered(self, newest_id: int) -> Self:
        """Return it after its outcomes got new ids, up to this one."""
        return replace(
            self, figures=self.figures | {MEASURED: self.figures.get(MEASURED, {}) | {"newest_id": newest_id}}
        )


@dataclass(frozen=True)
class KnownOutcomes:
    """The outcomes of a scoring job as they are stored now: rows, bad ones, largest id, and whether they are final."""

    job_id: int
    model_version: str
    rows: int
    bad: int
    newest_id: int
    is_mature: bool

    def to_document(self) -> dict[str, Any]:
        """Return what tells whether anything has changed since, as a JSON document."""
        return {"rows": self.rows, "bad": self.bad, "newest_id": self.newest_id, "is_mature": self.is_mature}


def list_changed_nights(engine: Engine, definition: PortfolioDefinition) -> list[KnownOutcomes]:
    """Return the scoring jobs whose outcomes are not those of their vintage, in the order of the jobs.

    Any load changes them: even a correction that keeps both counts has new ids.
    """
    counts = (func.count().label("rows"), func.sum(outcomes.c.outcome).label("bad"))
    known = select(outcomes.c.scored_job_id.label("job_id"), *counts, func.max(outcomes.c.id).label("newest_id"))
    known = known.where(outcomes.c.portfolio == definition.name, outcomes.c.scored_job_id.is_not(None))
    grouped = known.group_by(outcomes.c.scored_job_id).subquery()
    columns = (*grouped.c, jobs.c.model_version, jobs.c.options, jobs.c.created_at, vintages.c.figures)
    statement = select(*columns).join(jobs, jobs.c.id == grouped.c.job_id)
    statement = statement.outerjoin(vintages, vintages.c.job_id == jobs.c.id).order_by(jobs.c.id)
    with reading(engine) as connection:
        maturity = find_maturity(connection, definition)
        found = [(_known(row, maturity), row.figures or {}) for row in connection.execute(statement)]
    return [one for one, figures in found if one.to_document() != figures.get(MEASURED)]


def _known(row: Any, maturity: Maturity) -> KnownOutcomes:
    is_mature = maturity.is_reached(row.options, row.created_at)
    return KnownOutcomes(row.job_id, row.model_version, row.rows, int(row.bad), row.newest_id, is_mature)


@dataclass(frozen=True)
class JudgedScores:
    """Records with a known outcome: keys, probabilities of a scoring job, newest outcomes (N each)."""

    keys: NDArray[np.object_]
    probability: Floats
    outcome: Floats


def read_judged_scores(engine: Engine, job_id: int) -> JudgedScores:
    """Return the records of a scoring job with a known outcome."""
    newest = select(outcomes.c.record_key, func.max(outcomes.c.id).label("id"))
    newest = newest.where(outcomes.c.scored_job_id == job_id).group_by(outcomes.c.record_key).subquery()
    statement = (
        select(outcomes.c.record_key, scores.c.probability, outcomes.c.outcome)
        .join(newest, newest.c.id == outcomes.c.id)
        .join(scores, (scores.c.job_id == job_id) & (scores.c.record_key == outcomes.c.record_key))
    )
    with reading(engine) as connection:
        rows = connection.execute(statement).all()
    pairs = np.array([tuple(row)[1:] for row in rows], dtype=np.float64).reshape(-1, 2)
    return JudgedScores(np.array([row.record_key for row in rows], dtype=object), pairs[:, 0], pairs[:, 1])


def find_main_load(connection: Connection, job_id: int) -> str:
    """Return the time of the load that most outcomes of a scoring job came with: it tells files apart."""
    statement = select(outcomes.c.loaded_at).where(outcomes.c.scored_job_id == job_id).group_by(outcomes.c.loaded_at)
    newest = connection.execute(statement.order_by(func.count().desc(), outcomes.c.loaded_at).limit(1)).scalar()
    return "" if newest is None else newest.isoformat()


def find_newest_of_job(connection: Connection, job_id: int) -> int:
    """Return the largest id of the outcomes of a scoring job; 0 if it has none."""
    return connection.execute(select(func.max(outcomes.c.id)).where(outcomes.c.scored_job_id == job_id)).scalar() or 0


def count_outcomes_until(connection: Connection, job_id: int, newest_id: int) -> int:
    """Return how many outcomes a scoring job has up to this id: fewer than before if some were corrected since."""
    statement = select(func.count()).select_from(outcomes)
    wanted = (outcomes.c.scored_job_id == job_id, outcomes.c.id <= newest_id)
    return connection.execute(statement.where(*wanted)).scalar_one()


def save_vintage(connection: Connection, vintage: Vintage) -> None:
    """Store a vintage in the caller's transaction, replacing an existing one."""
    connection.execute(delete(vintages).where(vintages.c.job_id == vintage.job_id))
    connection.execute(insert(vintages).values(**{name: getattr(vintage, name) for name in _WRITTEN}))


def change_vintage(connection: Connection, vintage: Vintage) -> None:
    """Store what has changed in a vintage that exists, in the caller's transaction."""
    names = ("figures", "trust", "trust_reason", "trusted_by")
    values = {name: getattr(vintage, name) for name in names}
    changed = update(vintages).where(vintages.c.job_id == vintage.job_id)
    connection.execute(changed.values(**values, updated_at=now_plus()))


def find_vintage(connection: Connection, job_id: int) -> Vintage | None:
    """Return the vintage of a scoring job within the caller's transaction."""
    row = connection.execute(_select_vintages().where(vintages.c.job_id == job_id)).one_or_none()
    return None if row is None else _as_vintage(row)


def get_vintage(engine: Engine, job_id: int) -> Vintage | None:
    """Return the vintage of a scoring job; None while there is none."""
    with reading(engine) as connection:
        return find_vintage(connection, job_id)


def find_vintages(connection: Connection, portfolio: str) -> dict[int, Vintage]:
    """Return all vintages of a portfolio by their scoring job, oldest first, within the caller's transaction."""
    statement = _select_vintages().where(vintages.c.portfolio == portfolio).order_by(vintages.c.job_id)
    return {row.job_id: _as_vintage(row) for row in connection.execute(statement)}


def find_champion_vintages(connection: Connection, portfolio: str, version: str) -> list[Vintage]:
    """Return the vintages that a version scored and whose outcomes are used, newest first."""
    wanted = (vintages.c.portfolio == portfolio, vintages.c.model_version == version, vintages.c.outcomes > 0, IS_USED)
    rows = connection.execute(_select_vintages().where(*wanted).order_by(vintages.c.job_id.desc()).limit(MOST_NIGHTS))
    found, usable = [_as_vintage(row) for row in rows], find_usable(connection, portfolio)
    return [one for one in found if usable.newest_of(one.job_id)]


def list_vintages(engine: Engine, portfolio: str, *, limit: int = 100, before: int | None = None) -> list[Vintage]:
    """Return a portfolio's newest vintages, newest first; with `before`, of scoring jobs before this one."""
    statement = _select_vintages().where(vintages.c.portfolio == portfolio)
    if before is not None:
        statement = statement.where(vintages.c.job_id < before)
    with reading(engine) as connection:
        rows = connection.execute(statement.order_by(vintages.c.job_id.desc()).limit(limit))
        return [_as_vintage(row) for row in rows]


def _select_vintages() -> Any:
    return select(*(vintages.c[name] for name in _COLUMNS))


def _as_vintage(row: Any) -> Vintage:
    values: dict[str, Any] = dict(row._mapping) | {"trust": None if row.trust is None else Trust(row.trust)}
    return Vintage(**values)
