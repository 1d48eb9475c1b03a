"""Verifies a finished scoring job: every record once, every row from the final attempt, the digest."""

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, Table, func, select

from db.connections.engine import reading
from db.errors import StateConflictError
from db.events.wording import counted
from db.ledger.digests import score_digest, sum_digests
from db.ledger.job_lifecycle import Job, get_job
from db.results.exports import read_scores
from db.results.removals import read_removed
from db.schema.core_tables import rejects, scores, shards
from db.schema.states import JobKind, JobState


@dataclass(frozen=True)
class Verification:
    """The stored and the recounted results. `problems` is empty if they agree."""

    job: Job
    digest: str
    scored: int
    rejected: int
    stale_rows: int
    problems: tuple[str, ...]


def verify_job(engine: Engine, job_id: int) -> Verification:
    """Count and digest a finished job's scores and rejects again and compare with what its row says.

    Raises `StateConflictError` for a job that is not a finished scoring job.
    """
    job = get_job(engine, job_id)
    if job.kind is not JobKind.SCORING or job.state is not JobState.DONE:
        raise StateConflictError(
            f"job {job_id} is a {job.kind} job, {job.state}; only scoring jobs that are done have a digest"
        )
    scored, digests = 0, []
    for page in read_scores(engine, job_id):
        scored += len(page)
        digests.append(
            score_digest(page["record_key"].to_numpy(), page["probability"].to_numpy(), str(job.model_version))
        )
    with reading(engine) as connection:
        count = select(func.count()).select_from(rejects).where(rejects.c.job_id == job_id)
        rejected = connection.execute(count).scalar_one()
        stale = [_count_stale(connection, table, job_id) for table in (scores, rejects)]
    removed = read_removed(engine, job_id)
    if removed.scores and removed.digest is None:
        raise StateConflictError(
            f"the scores of job {job_id} were removed at the end of its portfolio's retention period"
        )
    # What was erased is counted as it was when it went, so that the rest still proves the job.
    digest = sum_digests([*digests, removed.digest or "0"])
    all_scored, all_rejected = scored + removed.scores, rejected + removed.rejects
    problems = tuple(_find_problems(job, digest, all_scored, all_rejected, sum(stale)))
    return Verification(job, digest, all_scored, all_rejected, sum(stale), problems)


def _count_stale(connection: Connection, table: Table, job_id: int) -> int:
    """Rows that the shard's final attempt did not write."""
    of_final = (shards.c.id == table.c.shard_id) & (shards.c.token == table.c.token)
    statement = select(func.count()).select_from(table.outerjoin(shards, of_final))
    return connection.execute(statement.where(table.c.job_id == job_id, shards.c.id.is_(None))).scalar_one()


def _find_problems(job: Job, digest: str, scored: int, rejected: int, stale: int) -> list[str]:
    problems = [
        f"stored {what}: {stored:,}, but the job says {expected:,}"
        for what, stored, expected in (("scores", scored, job.scored), ("rejects", rejected, job.rejected))
        if stored != expected
    ]
    if scored + rejected != job.inputs:
        problems.append(f"{counted(job.inputs, 'record')} went in, {scored + rejected:,} came out")
    if stale:
        problems.append(f"rows not written by the final attempt of their shard: {stale:,}")
    if digest != job.digest:
        problems.append(f"the digest of the stored scores is {digest}, but the job says {job.digest}")
    return problems
