"""Which loaded outcomes may be used, to learn from and to judge by: those that are final, measured and trusted.

An outcome that belongs to no scoring job cannot be compared with a score; it is always used.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, or_, select

from db.portfolios.catalog import find_portfolio
from db.portfolios.definition import PortfolioDefinition
from db.schema.core_tables import jobs
from db.schema.retraining_tables import outcomes, vintages
from db.schema.states import USED, JobKind

MEASURED_ID = vintages.c.figures[("measured", "newest_id")].as_integer()
EVERY_ID = 2**62  # a vintage of an older release does not say which outcomes were measured
_NEWEST_NIGHTS = 100  # in which the latest date of a night is looked for
IS_USED = or_(vintages.c.trust.is_(None), vintages.c.trust.in_(USED))


@dataclass(frozen=True)
class UsableOutcomes:
    """The newest usable outcome of each scoring job, by id; a job that is missing has none."""

    newest: Mapping[int, int]

    def newest_of(self, job_id: int) -> int:
        """Return the id up to which outcomes of a job may be used; 0 = none."""
        return self.newest.get(job_id, 0)

    def tell(self, scored_jobs: NDArray[np.int64], outcome_ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each of N outcomes may be used; scoring job 0 = none."""
        distinct, places = np.unique(scored_jobs, return_inverse=True)
        limits = np.array([EVERY_ID if one == 0 else self.newest_of(int(one)) for one in distinct], dtype=np.int64)
        return outcome_ids <= limits[places] if len(distinct) else np.zeros(0, dtype=bool)


def find_usable(connection: Connection, portfolio: str) -> UsableOutcomes:
    """Return which outcomes of a portfolio may be used now, by its stored definition."""
    columns = (vintages.c.job_id, MEASURED_ID.label("newest_id"), jobs.c.options, jobs.c.created_at)
    statement = select(*columns).join(jobs, jobs.c.id == vintages.c.job_id)
    wanted = (vintages.c.portfolio == portfolio, vintages.c.outcomes > 0, IS_USED)
    rows = connection.execute(statement.where(*wanted)).all()
    maturity = find_maturity(connection, find_portfolio(connection, portfolio).definition)
    newest = {
        row.job_id: EVERY_ID if row.newest_id is None else row.newest_id
        for row in rows
        if maturity.is_reached(row.options, row.created_at)
    }
    return UsableOutcomes(newest)


@dataclass(frozen=True)
class Maturity:
    """Whose outcomes are final: records of `until` or earlier. Without a rule (None) all are."""

    definition: PortfolioDefinition
    until: date | None

    def is_reached(self, options: Mapping[str, Any], created_at: Any) -> bool:
        """Whether the outcomes of a scoring job are final."""
        return self.until is None or self.definition.monitoring.date_of(options, created_at) <= self.until


def find_maturity(connection: Connection, definition: PortfolioDefinition) -> Maturity:
    """Return the date up to which outcomes are final, by the book's own calendar.

    Its today is the later of the newest night's date and the newest date of an outcome, so that a past that is played
    again is judged as it was.
    """
    days = definition.retraining.outcome_after
    today = None if days is None else _find_today(connection, definition)
    if days is None or today is None:
        return Maturity(definition, None)
    return Maturity(definition, today - timedelta(days=days))


def _find_today(connection: Connection, definition: PortfolioDefinition) -> date | None:
    newest = select(func.max(outcomes.c.outcome_date)).where(outcomes.c.portfolio == definition.name)
    told = connection.execute(newest).scalar()
    nights = select(jobs.c.options, jobs.c.created_at)
    nights = nights.where(jobs.c.portfolio == definition.name, jobs.c.kind == JobKind.SCORING)
    rows = connection.execute(nights.order_by(jobs.c.id.desc()).limit(_NEWEST_NIGHTS))
    dates = [definition.monitoring.date_of(row.options, row.created_at) for row in rows]
    return max(dates + ([date.fromisoformat(told)] if told else []), default=None)
