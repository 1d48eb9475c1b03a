"""A challenger's scores beside the champion's: histograms of shards, enough to judge a night by."""

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, insert, select

from db.engine import reading
from db.learning_tables import shadow_histograms
from db.shards import Claim
from db.states import JobState
from db.tables import jobs


@dataclass(frozen=True)
class ShadowResult:
    """What a challenger made of a shard: its points as a histogram, and its largest distance from the champion."""

    model_version: str
    points: dict[str, int]
    records: int
    largest_difference: float


def insert_shadow(connection: Connection, claim: Claim, shadow: ShadowResult) -> None:
    """Store a shard's shadow in the transaction that completes the shard."""
    values = {"shard_id": claim.shard_id, "job_id": claim.job.id, "model_version": shadow.model_version}
    values |= {"points": shadow.points, "records": shadow.records, "largest_difference": shadow.largest_difference}
    connection.execute(insert(shadow_histograms).values(**values))


def list_shadow_jobs(engine: Engine, version: str) -> list[int]:
    """Return the finished scoring jobs in which a challenger scored beside the champion."""
    statement = select(shadow_histograms.c.job_id).join(jobs, jobs.c.id == shadow_histograms.c.job_id)
    statement = statement.where(shadow_histograms.c.model_version == version, jobs.c.state == JobState.DONE)
    with reading(engine) as connection:
        return list(connection.execute(statement.distinct().order_by(shadow_histograms.c.job_id)).scalars())


def read_shadow_histograms(engine: Engine, version: str) -> list[dict[str, int]]:
    """Return the points of every shard that a challenger scored in a finished job."""
    statement = select(shadow_histograms.c.points).join(jobs, jobs.c.id == shadow_histograms.c.job_id)
    statement = statement.where(shadow_histograms.c.model_version == version, jobs.c.state == JobState.DONE)
    with reading(engine) as connection:
        return list(connection.execute(statement).scalars())
