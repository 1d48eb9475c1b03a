"""Reads what decides the loop's next step, without locking anything."""

from collections.abc import Sequence
from datetime import date, timedelta

from sqlalchemy import Connection, Engine, func, select

from db.connections.clock import now_plus
from db.connections.engine import reading
from db.errors import SourceError
from db.portfolios.definition import PortfolioDefinition
from db.registry.champions import find_champion
from db.registry.versions import LearnedUntil, ModelVersion, find_model
from db.retraining.loop_history import LoopNight
from db.retraining.next_look import Arrival, LoopState, WaitingChallenger, find_today
from db.retraining.outcomes import count_new_bad
from db.retraining.retraining_state import (
    MONTH_SECONDS,
    RetrainingState,
    count_nights_after,
    count_shadow_nights,
    find_challengers,
    find_last_stable_night,
    find_newest_night,
)
from db.schema.core_tables import jobs
from db.schema.monitoring_tables import drift_reports
from db.schema.retraining_tables import outcomes, retraining
from db.schema.states import OPEN_JOB_STATES, JobKind, JobTask, Verdict
from db.sources.labelled_dates import count_labelled_by_date

NEWEST_DATES = 30  # of outcomes: their rate says when more will come
_UNTOUCHED = RetrainingState(
    is_held=False, failures=0, last_job_id=None, last_night_id=None, tried_outcome_id=None, tried_as_of=None,
    watched_outcome_id=None, tried_records=None,
)  # fmt: skip


def read_loop_state(engine: Engine, definition: PortfolioDefinition, nights: Sequence[LoopNight]) -> LoopState:
    """Return the state of a portfolio's loop; `nights` are the newest of its history, oldest first."""
    name, dates = definition.name, [date.fromisoformat(one.date) for one in nights]
    with reading(engine) as connection:
        found = find_champion(connection, name)
        champion = None if found is None else find_model(connection, found.version)
        state = find_retraining(connection, name) or _UNTOUCHED
        learned = _learned_until(champion, state)
        from_source = _arrivals_of_source(connection, definition, learned.as_of)
        arrivals = _join(_arrivals_of_loads(connection, name), from_source)
        uncounted = _find_uncounted(nights, definition.retraining.outcome_after, find_today(dates, arrivals))
        loaded = _count_after(connection, name, learned.outcome_id, uncounted)
        stable_night = find_last_stable_night(connection, name)
        new_bad = count_new_bad(connection, name, after_id=learned.outcome_id, after_job=stable_night)
        since = state.last_night_id
        return LoopState(
            champion=None if champion is None else champion.version,
            is_held=state.is_held,
            running=_find_running(connection, name),
            challenger=_find_challenger(connection, name, definition.retraining.shadow_nights),
            failures=state.failures,
            nights_since_last=None if since is None else count_nights_after(connection, name, since),
            trained_this_month=_dates_of_trainings(connection, name),
            learned_records=max((champion and champion.learned_records) or 0, state.tried_records or 0) or None,
            new_outcomes=loaded + sum(one.outcomes for one in from_source),
            new_bad=new_bad + sum(one.bad for one in from_source),
            is_drifted=champion is not None and _has_drifted(connection, name, champion.version),
            nights=dates,
            arrivals=arrivals,
        )


def find_retraining(connection: Connection, portfolio: str) -> RetrainingState | None:
    """Return the trigger's state without a lock; None if nothing has ever changed it."""
    columns = [retraining.c[name] for name in RetrainingState.__dataclass_fields__]
    row = connection.execute(select(*columns).where(retraining.c.portfolio == portfolio)).one_or_none()
    return None if row is None else RetrainingState(*row)


def _learned_until(champion: ModelVersion | None, state: RetrainingState) -> LearnedUntil:
    """The newest outcome that the champion, or the last training, could learn from."""
    known = LearnedUntil() if champion is None else champion.learned_until
    newest_id = max(known.outcome_id, state.tried_outcome_id or 0)
    return LearnedUntil(newest_id, known.outcome_date, max(known.as_of, state.tried_as_of or ""))


def _find_running(connection: Connection, portfolio: str) -> str | None:
    """The oldest unfinished training or judgement, such as "job 14 (fine_tune, running)"."""
    kinds = (JobKind.TRAINING, JobKind.FINE_TUNING)
    wanted = (jobs.c.portfolio == portfolio, jobs.c.kind.in_(kinds), jobs.c.state.in_(OPEN_JOB_STATES))
    statement = select(jobs.c.id, jobs.c.task, jobs.c.state).where(*wanted).order_by(jobs.c.id).limit(1)
    row = connection.execute(statement).one_or_none()
    return None if row is None else f"job {row.id} ({row.task.replace('_', '-')}, {row.state})"


def _find_challenger(connection: Connection, portfolio: str, wanted_nights: int) -> WaitingChallenger | None:
    waiting = next(iter(find_challengers(connection, portfolio)), None)
    if waiting is None:
        return None
    nights = count_shadow_nights(connection, waiting.version)
    return WaitingChallenger(
        version=waiting.version,
        shadow_nights=nights,
        is_judged=waiting.was_judged(shadow_nights=nights, wanted=wanted_nights),
        new_bad=count_new_bad(connection, portfolio, after_id=waiting.judged_outcome_id or 0),
    )


def _dates_of_trainings(connection: Connection, portfolio: str) -> tuple[date, ...]:
    """The dates of the trainings that count against the monthly cap, oldest first."""
    trains = jobs.c.task.not_in((JobTask.GATE, JobTask.WATCH))
    wanted = (jobs.c.portfolio == portfolio, jobs.c.kind == JobKind.FINE_TUNING, trains)
    recent = jobs.c.created_at > now_plus(-MONTH_SECONDS)
    statement = select(jobs.c.created_at).where(*wanted, recent).order_by(jobs.c.created_at)
    return tuple(one.date() for one in connection.execute(statement).scalars())


def _has_drifted(connection: Connection, portfolio: str, version: str) -> bool:
    newest = find_newest_night(connection, portfolio, version)
    statement = select(drift_reports.c.verdict).where(drift_reports.c.job_id == newest)
    return newest is not None and connection.execute(statement).scalar() == Verdict.DRIFTED


def _find_uncounted(nights: Sequence[LoopNight], final_after: int | None, today: date | None) -> list[int]:
    """The nights whose outcomes nothing learns from: they are not trusted, or not final for some more days."""
    newest_final = None
    if final_after is not None and today is not None:
        newest_final = (today - timedelta(days=final_after)).isoformat()
    return [
        one.job_id for one in nights if not one.is_trusted or (newest_final is not None and one.date > newest_final)
    ]


def _count_after(connection: Connection, portfolio: str, outcome_id: int, uncounted: Sequence[int]) -> int:
    """Count the outcomes after this one, except those of some nights."""
    counts = outcomes.c.scored_job_id.is_(None) | outcomes.c.scored_job_id.not_in(uncounted)
    wanted = (outcomes.c.portfolio == portfolio, outcomes.c.id > outcome_id, counts)
    return connection.execute(select(func.count()).select_from(outcomes).where(*wanted)).scalar_one()


def _arrivals_of_loads(connection: Connection, portfolio: str) -> list[Arrival]:
    counts = (func.count(), func.sum(outcomes.c.outcome))
    statement = select(outcomes.c.outcome_date, *counts).where(outcomes.c.portfolio == portfolio)
    statement = statement.group_by(outcomes.c.outcome_date).order_by(outcomes.c.outcome_date.desc())
    return _as_arrivals(connection.execute(statement.limit(NEWEST_DATES)).all())


def _arrivals_of_source(connection: Connection, definition: PortfolioDefinition, after: str) -> list[Arrival]:
    """What the source itself holds since then; nothing if it cannot be read at this moment."""
    if not after:
        return []
    try:
        return _as_arrivals(count_labelled_by_date(connection, definition, after))
    except SourceError:
        return []


def _as_arrivals(rows: Sequence[tuple[str, int, int]]) -> list[Arrival]:
    return [Arrival(date.fromisoformat(on[:10]), int(count), int(bad)) for on, count, bad in rows if _is_date(on)]


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text[:10])
    except ValueError:
        return False
    return True


def _join(*groups: Sequence[Arrival]) -> list[Arrival]:
    """Arrivals of several places by date, the newest dates, oldest first."""
    joined: dict[date, Arrival] = {}
    for one in (arrival for group in groups for arrival in group):
        before = joined.get(one.on, Arrival(one.on, 0, 0))
        joined[one.on] = Arrival(one.on, before.outcomes + one.outcomes, before.bad + one.bad)
    return [joined[on] for on in sorted(joined)][-NEWEST_DATES:]
