"""Everything that the monitor needs to know about a night, read as one row because every statement costs time."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import JSON, Connection, ScalarSelect, Select, bindparam, func, select, type_coerce

from db.errors import NotFoundError
from db.ledger.job_lifecycle import JOB_COLUMNS, Job, as_job
from db.ledger.shard_histograms import Counts
from db.monitoring.drift_reports import Night
from db.registry.versions import MODEL_COLUMNS, ModelVersion, as_model
from db.schema.core_tables import jobs
from db.schema.model_tables import model_versions
from db.schema.monitoring_tables import alarm_limits, drift_reports, job_histograms
from db.schema.states import Verdict


@dataclass(frozen=True)
class NightBackground:
    """A scoring job, the model that scored it, and the limits of its sequential rule, None while there are none.

    `compared_version` is the model of the night that it is compared with, None if there is no such night. `nights`
    are those of the model before it, oldest first, at most `NIGHTS`. `counts` are of the night and the one that it is
    compared with, by job; a job that was closed by an older release has none.
    """

    night: Job
    model: ModelVersion
    limits: dict[str, Any] | None
    compared_version: str | None
    nights: list[Night]
    counts: dict[int, Counts]


NIGHTS = 120  # of the series; the rule's sums are bounded, so earlier nights cannot matter

_compared = jobs.alias("compared")
_counts, _compared_counts = job_histograms.alias("counts"), job_histograms.alias("compared_counts")
_of_this_model = (alarm_limits.c.portfolio == jobs.c.portfolio) & (
    alarm_limits.c.model_version == model_versions.c.version
)


def _nights_as_array(dialect: str) -> ScalarSelect[Any]:
    """The last nights of the model before the job, each an array of the columns of a `Night`."""
    columns = [drift_reports.c[name] for name in Night.__dataclass_fields__]
    owner = select(model_versions.c.portfolio).where(model_versions.c.version == bindparam("version"))
    last = (
        select(*columns)
        .where(
            drift_reports.c.portfolio == owner.scalar_subquery(),
            drift_reports.c.model_version == bindparam("version"),
            drift_reports.c.job_id < bindparam("job"),
        )
        .order_by(drift_reports.c.job_id.desc())
        .limit(NIGHTS)
        .subquery()
    )
    is_sqlite = dialect == "sqlite"
    row = func.json_array(*last.c) if is_sqlite else func.json_build_array(*last.c)
    rows = func.json_group_array(row) if is_sqlite else func.json_agg(row)
    return select(type_coerce(rows, JSON)).scalar_subquery()


def _make_statement(dialect: str) -> Select[Any]:
    return (
        select(*JOB_COLUMNS, *MODEL_COLUMNS, alarm_limits.c.limits, _compared.c.model_version)
        .add_columns(_nights_as_array(dialect), _counts.c.counts, _compared_counts.c.counts)
        .select_from(jobs)
        .join(model_versions, model_versions.c.version == bindparam("version"))
        .outerjoin(_compared, _compared.c.id == jobs.c.compared_job_id)
        .outerjoin(alarm_limits, _of_this_model)
        .outerjoin(_counts, _counts.c.job_id == jobs.c.id)
        .outerjoin(_compared_counts, _compared_counts.c.job_id == jobs.c.compared_job_id)
        .where(jobs.c.id == bindparam("job"))
    )


_STATEMENTS = {dialect: _make_statement(dialect) for dialect in ("postgresql", "sqlite")}


def find_background(connection: Connection, job_id: int, model_version: str) -> NightBackground:
    """Return the background of a scoring job within the caller's transaction. Raises `NotFoundError`."""
    statement = _STATEMENTS[connection.dialect.name]
    row = connection.execute(statement, {"job": job_id, "version": model_version}).one_or_none()
    if row is None:
        raise NotFoundError("job", job_id, advice="List them with: tidemark job list")
    values: tuple[Any, ...] = tuple(row)
    night, (limits, compared_version, nights, *counts) = as_job(values), values[-5:]
    found = {one: each for one, each in zip((night.id, night.compared_job_id), counts, strict=True) if one and each}
    earlier_nights = sorted(
        (Night(one[0], Verdict(one[1]), *one[2:]) for one in nights or ()), key=lambda one: one.job_id
    )
    return NightBackground(night, as_model(values[len(JOB_COLUMNS) :]), limits, compared_version, earlier_nights, found)
