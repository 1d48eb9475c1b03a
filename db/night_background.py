"""What the monitor must know of a night, as one row: every statement costs it time."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, select

from db.errors import NotFoundError
from db.histograms import Counts
from db.jobs import JOB_COLUMNS, Job, as_job
from db.monitoring_tables import alarm_limits, job_histograms
from db.registry import MODEL_COLUMNS, ModelVersion, as_model
from db.tables import jobs, model_versions


@dataclass(frozen=True)
class NightBackground:
    """A scoring job, the model that scored it, and the limits of its sequential rule, None while there are none.

    `compared_version` is the model of the night that it is compared with, None where there is no such night. `counts`
    are of the two by job; a job that was closed by an older release has none.
    """

    night: Job
    model: ModelVersion
    limits: dict[str, Any] | None
    compared_version: str | None
    counts: dict[int, Counts]


_compared = jobs.alias("compared")
_counts, _compared_counts = job_histograms.alias("counts"), job_histograms.alias("compared_counts")
_of_this_model = (alarm_limits.c.portfolio == jobs.c.portfolio) & (
    alarm_limits.c.model_version == model_versions.c.version
)
_STATEMENT = (
    select(*JOB_COLUMNS, *MODEL_COLUMNS, alarm_limits.c.limits, _compared.c.model_version)
    .add_columns(_counts.c.counts, _compared_counts.c.counts)
    .select_from(jobs)
    .join(model_versions, model_versions.c.version == bindparam("version"))
    .outerjoin(_compared, _compared.c.id == jobs.c.compared_job_id)
    .outerjoin(alarm_limits, _of_this_model)
    .outerjoin(_counts, _counts.c.job_id == jobs.c.id)
    .outerjoin(_compared_counts, _compared_counts.c.job_id == jobs.c.compared_job_id)
    .where(jobs.c.id == bindparam("job"))
)


def find_background(connection: Connection, job_id: int, model_version: str) -> NightBackground:
    """Return the background of a scoring job within the caller's transaction. Raises `NotFoundError`."""
    row = connection.execute(_STATEMENT, {"job": job_id, "version": model_version}).one_or_none()
    if row is None:
        raise NotFoundError("job", job_id, advice="List them with: tidemark job list")
    values: tuple[Any, ...] = tuple(row)
    night, (limits, compared_version, *counts) = as_job(values), values[-4:]
    found = {one: each for one, each in zip((night.id, night.compared_job_id), counts, strict=True) if one and each}
    return NightBackground(night, as_model(values[len(JOB_COLUMNS) :]), limits, compared_version, found)
