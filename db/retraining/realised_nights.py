"""What was expected of each night and what came of it, and of whom outcomes say anything at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Connection, Engine, distinct, func, select

from db.connections.engine import reading
from db.events.wording import counted
from db.portfolios.catalog import find_portfolio
from db.retraining.vintages import CENSORED, Vintage, list_vintages
from db.schema.core_tables import jobs
from db.schema.monitoring_tables import drift_reports
from db.schema.retraining_tables import outcomes


@dataclass(frozen=True)
class RealisedNight:
    """A vintage with the night that it belongs to.

    `scored` are the records with a score, `known` those with an outcome, final or not. The expected figures are of all
    scored records, from the night's drift report; None without one.
    """

    vintage: Vintage
    night: date
    scored: int
    expected_bad_rate: float | None
    expected_auc: float | None

    @property
    def known(self) -> int:
        """Records with an outcome, whether it is final or not."""
        return self.vintage.outcomes + self.censored

    @property
    def censored(self) -> int:
        """Records whose outcome is not final yet."""
        return int(self.vintage.figures.get(CENSORED, 0))

    @property
    def coverage(self) -> float | None:
        """The share of the scored records that have an outcome."""
        return self.known / self.scored if self.scored else None

    @property
    def bad_rate(self) -> float | None:
        """The realised bad rate; None while no outcome is final."""
        return self.vintage.figures.get("bad_rate")

    @property
    def auc(self) -> float | None:
        """The realised ROC AUC; None without both outcomes."""
        return self.vintage.figures.get("roc_auc")

    def to_document(self) -> dict[str, Any]:
        """Return the comparison as a JSON document; an error is the realised figure less the expected one."""
        return {
            "night": self.night.isoformat(),
            "scored": self.scored,
            "coverage": self.coverage,
            "censored": self.censored,
            "expected": {"bad_rate": self.expected_bad_rate, "roc_auc": self.expected_auc},
            "realised": {"bad_rate": self.bad_rate, "roc_auc": self.auc},
            "error": {
                "bad_rate": _less(self.bad_rate, self.expected_bad_rate),
                "roc_auc": _less(self.auc, self.expected_auc),
            },
        }


@dataclass(frozen=True)
class Population:
    """Of the records that some nights scored: how many have an outcome."""

    scored: int
    with_outcome: int

    @property
    def share(self) -> float | None:
        """The share of the scored records that have an outcome; None if none was scored."""
        return self.with_outcome / self.scored if self.scored else None

    @property
    def sentence(self) -> str:
        """Say whom a judgement by these outcomes is about, and whom it is not about."""
        share = "" if self.share is None else f", {self.share:.0%} of those that were scored in these nights"
        return (
            f"judged by the {counted(self.with_outcome, 'record')} with an outcome{share}; says nothing about the "
            "others (for example rejected applicants)"
        )


def list_realised_nights(
    engine: Engine, portfolio: str, *, limit: int = 100, before: int | None = None
) -> list[RealisedNight]:
    """Return a portfolio's newest vintages with their nights, newest first; with `before`, of jobs before this one."""
    found = list_vintages(engine, portfolio, limit=limit, before=before)
    expected = [drift_reports.c.figures[("expected", name)].as_float().label(name) for name in ("bad_rate", "auc")]
    statement = select(jobs.c.id, jobs.c.options, jobs.c.created_at, jobs.c.scored, *expected)
    statement = statement.outerjoin(drift_reports, drift_reports.c.job_id == jobs.c.id)
    statement = statement.where(jobs.c.id.in_([one.job_id for one in found]))
    with reading(engine) as connection:
        policy = find_portfolio(connection, portfolio).definition.monitoring
        rows = {row.id: row for row in connection.execute(statement)}
    nights: list[RealisedNight] = []
    for one in found:
        row = rows[one.job_id]
        day = policy.date_of(row.options, row.created_at)
        nights.append(RealisedNight(one, day, row.scored, row.bad_rate, row.auc))
    return nights


def population_of(connection: Connection, portfolio: str, job_ids: Sequence[int]) -> Population:
    """Return how many records these scoring jobs of a portfolio scored, and how many of them have an outcome."""
    own = (jobs.c.portfolio == portfolio, jobs.c.id.in_(job_ids))
    scored = connection.execute(select(func.coalesce(func.sum(jobs.c.scored), 0)).where(*own)).scalar_one()
    known = select(func.count(distinct(outcomes.c.record_key)).label("records"))
    known = known.where(outcomes.c.portfolio == portfolio, outcomes.c.scored_job_id.in_(job_ids))
    by_job = known.group_by(outcomes.c.scored_job_id).subquery()
    with_outcome = connection.execute(select(func.coalesce(func.sum(by_job.c.records), 0))).scalar_one()
    return Population(int(scored), int(with_outcome))


def _less(realised: float | None, expected: float | None) -> float | None:
    return None if realised is None or expected is None else realised - expected
