"""Compares the outcomes of a scoring job with those of earlier jobs for the same records."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from db.schema.retraining_tables import outcomes

MOST_COMPARED = 20_000  # records; more do not make it surer
EARLIER_NIGHTS = 12


@dataclass(frozen=True)
class Overlap:
    """The records of a job that an earlier one also scored, both with an outcome.

    `compared` are all outcomes of the job that were looked at, `bad` and `good` the fewer of the two jobs' own, and
    `differing` those whose outcome is not the same.
    """

    job_id: int
    compared: int
    records: int
    bad: int
    good: int
    differing: int


def find_overlaps(connection: Connection, portfolio: str, job_id: int, earlier: Sequence[int]) -> list[Overlap]:
    """Return the overlap with each of these earlier jobs, of the first `MOST_COMPARED` records; without any: none."""
    mine = select(outcomes.c.record_key, outcomes.c.outcome).where(outcomes.c.scored_job_id == job_id)
    sample = mine.order_by(outcomes.c.record_key).limit(MOST_COMPARED).subquery()
    compared = connection.execute(select(func.count()).select_from(sample)).scalar_one()
    counts = (
        func.count().label("records"),
        func.sum(sample.c.outcome).label("bad"),
        func.sum(outcomes.c.outcome).label("bad_before"),
        func.sum(func.abs(sample.c.outcome - outcomes.c.outcome)).label("differing"),
    )
    is_same = (outcomes.c.portfolio == portfolio) & (outcomes.c.record_key == sample.c.record_key)
    statement = select(outcomes.c.scored_job_id, *counts).join_from(sample, outcomes, is_same)
    statement = statement.where(outcomes.c.scored_job_id.in_(earlier)).group_by(outcomes.c.scored_job_id)
    return [
        Overlap(
            job_id=row.scored_job_id,
            compared=compared,
            records=row.records,
            bad=min(int(row.bad), int(row.bad_before)),
            good=row.records - max(int(row.bad), int(row.bad_before)),
            differing=int(row.differing),
        )
        for row in connection.execute(statement.order_by(outcomes.c.scored_job_id))
    ]
