"""What was removed from a job's results on purpose, so that the rest can still be verified."""

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, func, insert, select

from db.connections.engine import reading
from db.ledger.digests import sum_digests
from db.schema.api_tables import removals
from db.schema.states import RemovalCause


@dataclass(frozen=True)
class Removed:
    """Sums over the removals of a job. `digest` is of the removed scores; None if that is not known any more."""

    scores: int
    rejects: int
    digest: str | None


def note_removal(
    connection: Connection, job_id: int, cause: RemovalCause, *, scores: int, rejects: int, digest: str | None
) -> None:
    """Note a removal in its own transaction."""
    values = {"job_id": job_id, "cause": cause, "scores": scores, "rejects": rejects, "digest": digest}
    connection.execute(insert(removals).values(**values))


def read_removed(engine: Engine, job_id: int) -> Removed:
    """Return what was removed from a job's results."""
    counted = (func.coalesce(func.sum(removals.c.scores), 0), func.coalesce(func.sum(removals.c.rejects), 0))
    digests = select(removals.c.digest).where(removals.c.job_id == job_id, removals.c.scores > 0)
    with reading(engine) as connection:
        scores, rejects = connection.execute(select(*counted).where(removals.c.job_id == job_id)).one()
        found = connection.execute(digests).scalars().all()
    known = [one for one in found if one is not None]
    return Removed(int(scores), int(rejects), sum_digests(known) if len(known) == len(found) else None)
