"""The trigger's state: one locked row per portfolio."""

from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Connection, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from db.registry.versions import ModelVersion, find_model
from db.results.shadow_scores import select_shadow_jobs
from db.schema.core_tables import jobs
from db.schema.model_tables import champions, model_versions
from db.schema.monitoring_tables import drift_reports
from db.schema.retraining_tables import retraining
from db.schema.states import OPEN_JOB_STATES, JobKind, JobTask, ModelState, Verdict

NIGHT_JOB = "night_job"  # option of a training that no night asked for: the newest scoring job at that moment


@dataclass(frozen=True)
class RetrainingState:
    """The state of a portfolio. `failures` counts the alarms in a row that were answered and that nothing has cured."""

    is_held: bool
    failures: int
    last_job_id: int | None
    last_night_id: int | None
    tried_outcome_id: int | None
    tried_as_of: str | None
    watched_outcome_id: int | None
    tried_records: int | None


def lock_retraining(connection: Connection, portfolio: str) -> RetrainingState:
    """Return the state of a portfolio, locked until the caller's transaction ends: one trigger at a time."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(dialect.insert(retraining).values(portfolio=portfolio).on_conflict_do_nothing())
    columns = [retraining.c[field.name] for field in fields(RetrainingState)]
    statement = select(*columns).where(retraining.c.portfolio == portfolio).with_for_update()
    return RetrainingState(*connection.execute(statement).one())


def change_retraining(connection: Connection, portfolio: str, **values: Any) -> None:
    """Change the locked row in the caller's transaction."""
    connection.execute(update(retraining).where(retraining.c.portfolio == portfolio).values(**values))


def has_open_fine_tuning(connection: Connection, portfolio: str) -> bool:
    """Whether a fine-tuning, gate or watch job of this portfolio is unfinished."""
    wanted = (jobs.c.portfolio == portfolio, jobs.c.kind == JobKind.FINE_TUNING, jobs.c.state.in_(OPEN_JOB_STATES))
    return connection.execute(select(jobs.c.id).where(*wanted).limit(1)).scalar() is not None


def list_training_nights(connection: Connection, portfolio: str, *, most: int = 100) -> list[int]:
    """Return the scoring jobs after which a training was asked for, newest training first."""
    trains = jobs.c.task.in_((JobTask.FINE_TUNE, JobTask.PRETRAIN))
    wanted = (jobs.c.portfolio == portfolio, jobs.c.kind == JobKind.FINE_TUNING, trains)
    night = func.coalesce(jobs.c.subject_job_id, jobs.c.options[NIGHT_JOB].as_integer())
    statement = select(night).where(*wanted, night.is_not(None)).order_by(jobs.c.id.desc()).limit(most)
    return list(connection.execute(statement).scalars())


def count_nights_after(connection: Connection, portfolio: str, night_id: int | None) -> int:
    """Return how many scoring jobs later than this one were monitored."""
    statement = select(func.count()).select_from(drift_reports).where(drift_reports.c.portfolio == portfolio)
    if night_id is not None:
        statement = statement.where(drift_reports.c.job_id > night_id)
    return connection.execute(statement).scalar_one()


def find_last_stable_night(connection: Connection, portfolio: str) -> int:
    """Return the newest scoring job with the verdict stable, so that drift came after it; 0 if there is none."""
    statement = select(func.max(drift_reports.c.job_id))
    wanted = (drift_reports.c.portfolio == portfolio, drift_reports.c.verdict == Verdict.STABLE)
    return connection.execute(statement.where(*wanted)).scalar() or 0


def find_verdict_before(connection: Connection, portfolio: str, night_id: int) -> Verdict | None:
    """Return the verdict of the last monitored night before this one; None if there was none."""
    statement = select(drift_reports.c.verdict).where(drift_reports.c.portfolio == portfolio)
    before = statement.where(drift_reports.c.job_id < night_id).order_by(drift_reports.c.job_id.desc()).limit(1)
    verdict = connection.execute(before).scalar()
    return None if verdict is None else Verdict(verdict)


def find_newest_night(connection: Connection, portfolio: str, version: str | None = None) -> int | None:
    """Return the newest scoring job that was monitored, of a version if one is named; None if none was."""
    statement = select(func.max(drift_reports.c.job_id)).where(drift_reports.c.portfolio == portfolio)
    if version is not None:
        statement = statement.where(drift_reports.c.model_version == version)
    return connection.execute(statement).scalar()


def count_champion_nights(connection: Connection, portfolio: str) -> tuple[int, int | None]:
    """Return the number of monitored nights that the present champion has scored since its promotion, and the first."""
    statement = select(func.count(), func.min(drift_reports.c.job_id)).select_from(
        drift_reports.join(champions, champions.c.portfolio == drift_reports.c.portfolio)
    )
    before = select(model_versions.c.version).where(model_versions.c.replaced_by == champions.c.version)
    is_own = or_(drift_reports.c.model_version == champions.c.version, drift_reports.c.model_version.in_(before))
    wanted = (drift_reports.c.portfolio == portfolio, is_own)
    since = drift_reports.c.created_at >= champions.c.since
    nights, first = connection.execute(statement.where(*wanted, since)).one()
    return nights, first


def find_challengers(connection: Connection, portfolio: str) -> list[ModelVersion]:
    """Return the versions waiting for evidence, newest first."""
    wanted = (model_versions.c.portfolio == portfolio, model_versions.c.state == ModelState.CHALLENGER)
    statement = select(model_versions.c.version).where(*wanted).order_by(model_versions.c.created_at.desc())
    return [find_model(connection, version) for version in connection.execute(statement).scalars().all()]


def count_shadow_nights(connection: Connection, version: str) -> int:
    """Return the number of finished scoring jobs in which a challenger scored every record too."""
    return len(connection.execute(select_shadow_jobs(version)).all())


def mark_judged(connection: Connection, version: str, *, outcome_id: int, shadow_nights: int) -> None:
    """Remember what the gate judged a challenger by, in the caller's transaction."""
    values = {"judged_outcome_id": outcome_id, "judged_shadow_nights": shadow_nights}
    connection.execute(update(model_versions).where(model_versions.c.version == version).values(**values))
