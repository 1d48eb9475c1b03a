"""Stores outcomes, and joins them to the scores that they belong to."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    MetaData,
    SmallInteger,
    Table,
    Text,
    and_,
    bindparam,
    exists,
    func,
    insert,
    literal,
    select,
    update,
)

from db.connections.bulk_insert import copy_rows
from db.connections.clock import UtcDateTime, now_plus
from db.connections.engine import reading, writing
from db.events.event_log import record_event
from db.events.wording import counted
from db.ledger.job_lifecycle import JobRequest, find_job, insert_job
from db.privacy.erased_keys import drop_erased, hold_off_erasures, read_erasures
from db.retraining.retraining_state import change_retraining, lock_retraining
from db.retraining.usable_outcomes import find_usable
from db.retraining.vintages import find_newest_of_job
from db.schema.core_tables import jobs, scores
from db.schema.retraining_tables import outcomes
from db.schema.states import JobKind, JobState, JobTask

_COLUMNS = ["record_key", "outcome", "outcome_date", "outcome_id", "scored_job"]


@dataclass(frozen=True)
class OutcomeLoad:
    """The result of a load, in outcomes. `job_id` is the job that measures the vintages again; None without changes."""

    loaded: int
    changed: int
    unchanged: int
    without_score: int
    job_id: int | None


def load_outcomes(
    engine: Engine,
    portfolio: str,
    rows: Iterable[tuple[str, int, str]],
    *,
    who: str,
    scoring_job: int | None = None,
) -> OutcomeLoad:
    """Store (record key, outcome, date as YYYY-MM-DD), all or nothing; known outcomes change nothing.

    An outcome belongs to the score of `scoring_job`, or else of the newest finished job with a score of the record up
    to the date of the outcome. A corrected outcome replaces the old one and counts as new. All rows of a load have the
    same time, which tells files apart. Persons erased since the load began are left out.
    """
    erasures_before = read_erasures(engine, portfolio)
    with writing(engine) as connection:
        if scoring_job is not None:
            find_job(connection, scoring_job)
        staging = _stage(connection, rows)
        if hold_off_erasures(connection, erasures_before):
            drop_erased(connection, staging.c.record_key, erasures_before)
        total = _count(connection, staging)
        _drop_known(connection, staging, portfolio)
        fresh = _count(connection, staging)
        _match_scores(connection, staging, portfolio, scoring_job)
        without_score = _count(connection, staging, staging.c.scored_job_id.is_(None))
        lock_retraining(connection, portfolio)  # vintages are not judged while outcomes come in
        newest_id = find_newest_id(connection)
        changed = _drop_corrected(connection, staging, portfolio)
        _insert_staged(connection, staging, portfolio, newest_id)
        if changed:  # what was learned from wrong outcomes says nothing about the next retraining
            change_retraining(connection, portfolio, failures=0, last_night_id=None)
        staging.drop(connection)
        job_id = None
        if fresh:
            why = f"{counted(fresh, 'outcome')}, {changed:,} of them corrected"
            record_event(connection, "outcomes.loaded", who=who, portfolio=portfolio, why=why)
            job_id = insert_job(connection, JobRequest(JobKind.MONITORING, portfolio, who, {}, task=JobTask.VINTAGES))
    return OutcomeLoad(fresh - changed, changed, total - fresh, without_score, job_id)


def read_outcomes(engine: Engine, portfolio: str) -> pd.DataFrame:
    """Return the newest outcome of each record: record_key, outcome, outcome_date, outcome_id, scored_job (or 0)."""
    with reading(engine) as connection:
        frame = _read_by_date(connection, portfolio)
    return frame.drop_duplicates("record_key", keep="last").reset_index(drop=True)


def read_usable_outcomes(engine: Engine, portfolio: str) -> pd.DataFrame:
    """Return what `read_outcomes` does, with the column `is_usable`: the newest usable outcome of each record.

    A record whose outcomes may not be used, none of them, has its newest one (`db.retraining.usable_outcomes`).
    """
    with reading(engine) as connection:
        usable, frame = find_usable(connection, portfolio), _read_by_date(connection, portfolio)
    frame["is_usable"] = usable.tell(frame["scored_job"].to_numpy(), frame["outcome_id"].to_numpy())
    chosen = frame.sort_values("is_usable", kind="stable").drop_duplicates("record_key", keep="last")
    return chosen.sort_index().reset_index(drop=True)


def count_new(connection: Connection, portfolio: str, *, after_id: int, after_job: int = 0) -> tuple[int, int]:
    """Return the number of outcomes after the one with this id, of records scored after that job, and of bad ones.

    Only outcomes that may be used count (`db.retraining.usable_outcomes`).
    """
    wanted = [outcomes.c.portfolio == portfolio, outcomes.c.id > after_id]
    if after_job:
        wanted.append(outcomes.c.scored_job_id.is_(None) | (outcomes.c.scored_job_id > after_job))
    counts = (func.count(), func.count().filter(outcomes.c.outcome == 1))
    by_job = select(outcomes.c.scored_job_id, func.max(outcomes.c.id), *counts).where(*wanted)
    usable, totals = find_usable(connection, portfolio), [(0, 0)]
    for job_id, newest_id, *found in connection.execute(by_job.group_by(outcomes.c.scored_job_id)).all():
        newest_usable = newest_id if job_id is None else usable.newest_of(job_id)
        if newest_usable >= newest_id:
            totals.append((found[0], found[1]))
        elif newest_usable > after_id:  # the rest came after the job was measured
            mine = (*wanted, outcomes.c.scored_job_id == job_id, outcomes.c.id <= newest_usable)
            known, bad = connection.execute(select(*counts).select_from(outcomes).where(*mine)).one()
            totals.append((known, bad))
    return sum(known for known, _ in totals), sum(bad for _, bad in totals)


def find_newest_id(connection: Connection) -> int:
    """Return the largest id of any outcome; 0 if there is none."""
    return connection.execute(select(func.max(outcomes.c.id))).scalar() or 0


def count_again_as_new(connection: Connection, job_id: int, *, after_id: int) -> int:
    """Give the outcomes of a scoring job after this id new ids, in the caller's transaction; return the largest.

    They were held back, and models may have been trained on later ones since: "greater than" has to mean "not known
    when that model was trained" for these too.
    """
    held_back = (outcomes.c.scored_job_id == job_id, outcomes.c.id > after_id)
    number = func.row_number().over(order_by=outcomes.c.id)
    if connection.dialect.name == "postgresql":
        new_id = func.nextval(func.pg_get_serial_sequence(outcomes.name, "id"))
        connection.execute(update(outcomes).where(*held_back).values(id=new_id))
    else:
        numbered = select(outcomes.c.id.label("old_id"), number.label("number")).where(*held_back).subquery()
        new_id = find_newest_id(connection) + numbered.c.number
        connection.execute(update(outcomes).where(outcomes.c.id == numbered.c.old_id).values(id=new_id))
    return find_newest_of_job(connection, job_id)


def _read_by_date(connection: Connection, portfolio: str) -> pd.DataFrame:
    columns = (
        *(outcomes.c.record_key, outcomes.c.outcome, outcomes.c.outcome_date, outcomes.c.id),
        func.coalesce(outcomes.c.scored_job_id, 0),
    )
    statement = select(*columns).where(outcomes.c.portfolio == portfolio).order_by(outcomes.c.outcome_date)
    return pd.DataFrame.from_records(connection.execute(statement).all(), columns=_COLUMNS)


def _stage(connection: Connection, rows: Iterable[tuple[str, int, str]]) -> Table:
    staging = Table(
        "tidemark_staging_outcomes",
        MetaData(),
        Column("record_key", Text, primary_key=True),
        Column("outcome_date", Text, primary_key=True),
        Column("outcome", SmallInteger, nullable=False),
        Column("scored_job_id", BigInteger),
        prefixes=["TEMPORARY"],
    )
    staging.create(connection)
    copy_rows(connection, staging, ("record_key", "outcome", "outcome_date"), rows)
    return staging


def _same(staging: Table, portfolio: str) -> Any:
    return and_(
        outcomes.c.portfolio == portfolio,
        outcomes.c.record_key == staging.c.record_key,
        outcomes.c.outcome_date == staging.c.outcome_date,
    )


def _drop_known(connection: Connection, staging: Table, portfolio: str) -> None:
    known = exists().where(_same(staging, portfolio), outcomes.c.outcome == staging.c.outcome)
    connection.execute(staging.delete().where(known))


def _drop_corrected(connection: Connection, staging: Table, portfolio: str) -> int:
    corrected = exists().where(_same(staging, portfolio))
    return connection.execute(outcomes.delete().where(corrected)).rowcount


def _insert_staged(connection: Connection, staging: Table, portfolio: str, newest_id: int) -> None:
    """SQLite numbers from the largest id that is left, so the ids of what was corrected would come again."""
    names = ("portfolio", "record_key", "outcome", "outcome_date", "scored_job_id", "loaded_at")
    now = bindparam("now", connection.execute(select(now_plus())).scalar_one(), type_=UtcDateTime())
    values: list[Any] = [literal(portfolio), *(staging.c[name] for name in names[1:-1]), now]
    order = (staging.c.outcome_date, staging.c.record_key)
    if connection.dialect.name == "sqlite":
        names, values = ("id", *names), [newest_id + func.row_number().over(order_by=order), *values]
    connection.execute(insert(outcomes).from_select(names, select(*values).order_by(*order)))


def _match_scores(connection: Connection, staging: Table, portfolio: str, scoring_job: int | None) -> None:
    """Newest job first, so that each look-up is one of (job, key), which is the scores' primary key."""
    done = select(jobs.c.id, jobs.c.finished_at)
    done = done.where(jobs.c.portfolio == portfolio, jobs.c.kind == JobKind.SCORING, jobs.c.state == JobState.DONE)
    if scoring_job is not None:
        done = done.where(jobs.c.id == scoring_job)
    for job_id, finished_at in connection.execute(done.order_by(jobs.c.id.desc())).all():
        unmatched = staging.c.scored_job_id.is_(None)
        has_score = exists().where(scores.c.job_id == job_id, scores.c.record_key == staging.c.record_key)
        matched = update(staging).where(unmatched, has_score).values(scored_job_id=job_id)
        if scoring_job is None:
            matched = matched.where(staging.c.outcome_date >= finished_at.date().isoformat())
        connection.execute(matched)
        if not _count(connection, staging, unmatched):
            return


def _count(connection: Connection, table: Table, condition: Any = None) -> int:
    statement = select(func.count()).select_from(table)
    return connection.execute(statement if condition is None else statement.where(condition)).scalar_one()
