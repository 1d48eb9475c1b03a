"""One record's scores over time, from every finished scoring job of its portfolio."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, select

from db.connections.engine import reading
from db.schema.core_tables import jobs, rejects, scores
from db.schema.states import JobKind, JobState


@dataclass(frozen=True)
class PersonScore:
    """One job's result for the record: a score, or the reason for its rejection."""

    job_id: int
    finished_at: datetime
    model_version: str | None
    unusable_reason: str | None
    probability: float | None = None
    points: int | None = None
    band: str | None = None
    reasons: tuple[str, ...] = ()
    rejected: str | None = None


_JOB_COLUMNS = (jobs.c.id, jobs.c.finished_at, jobs.c.model_version, jobs.c.unusable_reason)


def list_person_scores(engine: Engine, portfolio: str, keys: Sequence[str], *, limit: int = 400) -> list[PersonScore]:
    """Return the newest results of a record under any of these forms of its key, oldest first."""
    is_night = (jobs.c.portfolio == portfolio, jobs.c.kind == JobKind.SCORING, jobs.c.state == JobState.DONE)
    own = (scores.c.probability, scores.c.points, scores.c.band, scores.c.reasons)
    scored = select(*_JOB_COLUMNS, *own).join(scores, scores.c.job_id == jobs.c.id)
    scored = scored.where(*is_night, scores.c.record_key.in_(keys)).order_by(jobs.c.id.desc()).limit(limit)
    why = (rejects.c.field, rejects.c.reason)
    refused = select(*_JOB_COLUMNS, *why).join(rejects, rejects.c.job_id == jobs.c.id)
    refused = refused.where(*is_night, rejects.c.record_key.in_(keys)).order_by(jobs.c.id.desc()).limit(limit)
    with reading(engine) as connection:
        found = [_as_score(row) for row in connection.execute(scored)]
        found += [PersonScore(*row[:4], rejected=f"{row.field}: {row.reason}") for row in connection.execute(refused)]
    return sorted(found, key=lambda one: one.job_id)[-limit:]


def _as_score(row: Any) -> PersonScore:
    reasons: tuple[str, ...] = () if row.reasons is None else tuple(json.loads(row.reasons))
    job_fields = (row.id, row.finished_at, row.model_version, row.unusable_reason)
    return PersonScore(*job_fields, row.probability, row.points, row.band, reasons)
