"""Histograms of a challenger's scores compared with the champion's: enough to judge a night by."""

from dataclasses import dataclass

from sqlalchemy import BigInteger, Connection, Engine, Select, cast, func, insert, select, true

from db.connections.engine import reading
from db.ledger.job_lifecycle import Job
from db.ledger.shard_leases import Claim
from db.registry.champions import find_champion
from db.schema.core_tables import jobs
from db.schema.model_tables import model_versions
from db.schema.retraining_tables import shadow_histograms
from db.schema.states import JobState, ModelState


@dataclass(frozen=True)
class ShadowResult:
    """A challenger's result for a shard: its points as a histogram, and its largest distance from the champion."""

    model_version: str
    points: dict[str, int]
    records: int
    largest_difference: float


def find_shadow(engine: Engine, job: Job) -> str | None:
    """Return the challenger that scores together with the champion in this job; None for a job of another model."""
    newest = select(model_versions.c.version).where(
        model_versions.c.portfolio == job.portfolio, model_versions.c.state == ModelState.CHALLENGER
    )
    with reading(engine) as connection:
        champion = find_champion(connection, job.portfolio)
        if champion is None or champion.version != job.model_version:
            return None
        return connection.execute(newest.order_by(model_versions.c.created_at.desc()).limit(1)).scalar()


def insert_shadow(connection: Connection, claim: Claim, shadow: ShadowResult) -> None:
    """Store a shard's shadow in the transaction that completes the shard."""
    values = {"shard_id": claim.shard_id, "job_id": claim.job.id, "model_version": shadow.model_version}
    values |= {"points": shadow.points, "records": shadow.records, "largest_difference": shadow.largest_difference}
    connection.execute(insert(shadow_histograms).values(**values))


def list_shadow_jobs(engine: Engine, version: str) -> list[int]:
    """Return the finished scoring jobs of which a challenger scored every record that the champion did."""
    with reading(engine) as connection:
        return list(connection.execute(select_shadow_jobs(version)).scalars())


def select_shadow_jobs(version: str) -> Select[int]:
    """Return the statement behind `list_shadow_jobs`. A challenger that arrived during the job has no such night."""
    night = select(jobs.c.id).join(shadow_histograms, shadow_histograms.c.job_id == jobs.c.id)
    night = night.where(shadow_histograms.c.model_version == version, jobs.c.state == JobState.DONE)
    whole = night.group_by(jobs.c.id, jobs.c.scored).having(func.sum(shadow_histograms.c.records) == jobs.c.scored)
    return whole.order_by(jobs.c.id)


def read_shadow_points(engine: Engine, version: str) -> dict[str, int]:
    """Return the points that a challenger gave in finished jobs, as one histogram; the database adds its shards up."""
    is_sqlite = engine.dialect.name == "sqlite"
    read = func.json_each if is_sqlite else func.jsonb_each_text
    one = read(shadow_histograms.c.points).table_valued("key", "value")
    summed = select(one.c.key, func.sum(cast(one.c.value, BigInteger))).select_from(shadow_histograms)
    summed = summed.join(jobs, jobs.c.id == shadow_histograms.c.job_id).join(one, true())
    summed = summed.where(shadow_histograms.c.model_version == version, jobs.c.state == JobState.DONE)
    with reading(engine) as connection:
        return {row[0]: int(row[1]) for row in connection.execute(summed.group_by(one.c.key))}
