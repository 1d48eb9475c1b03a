"""Reads what decides the loop's next step, without locking anything."""

from collections.abc import Mapping, Sequence
from datetime import date

from sqlalchemy import Connection, Engine, func, select

from db.connections.engine import reading
from db.errors import SourceError
from db.portfolios.definition import PortfolioDefinition
from db.registry.champions import find_champion
from db.registry.versions import LearnedUntil, ModelVersion, find_model
from db.retraining.expected_dates import Arrival
from db.retraining.loop_history import IS_OF_LOOP, LoopNight
from db.retraining.next_look import LoopState, WaitingChallenger
from db.retraining.outcomes import count_new
from db.retraining.retraining_state import (
    RetrainingState,
    count_nights_after,
    count_shadow_nights,
    find_challengers,
    find_last_stable_night,
    find_newest_night,
    list_training_nights,
)
from db.retraining.usable_outcomes import find_maturity
from db.schema.core_tables import jobs
from db.schema.monitoring_tables import drift_reports
from db.schema.retraining_tables import outcomes, retraining
from db.schema.states import OPEN_JOB_STATES, Verdict
from db.sources.labelled_dates import count_labelled_by_date

NEWEST_DATES = 30  # of outcomes: their rate says when more will come
_UNTOUCHED = RetrainingState(
    is_held=False, failures=0, last_job_id=None, last_night_id=None, tried_outcome_id=None, tried_as_of=None,
    watched_outcome_id=None, tried_records=None,
)  # fmt: skip


def read_loop_state(engine: Engine, definition: PortfolioDefinition, nights: Sequence[LoopNight]) -> LoopState:
    """Return the state of a portfolio's loop; `nights` are the newest of its history, oldest first."""
    name = definition.name
    dates = {one.job_id: date.fromisoformat(one.date) for one in nights}
    with reading(engine) as connection:
        found = find_champion(connection, name)
        champion = None if found is None else find_model(connection, found.version)
        state = find_retraining(connection, name) or _UNTOUCHED
        learned = _learned_until(champion, state)
        new, new_bad = count_new(connection, name, after_id=learned.outcome_id)
        stable_night = find_last_stable_night(connection, name)
        _, drift_bad = count_new(connection, name, after_id=learned.outcome_id, after_job=stable_night)
        from_source = _arrivals_of_source(connection, definition, learned.as_of)
        own, own_bad = sum(one.outcomes for one in from_source), sum(one.bad for one in from_source)
        since, trained = state.last_night_id, list_training_nights(connection, name)
        return LoopState(
            champion=None if champion is None else champion.version,
            is_held=state.is_held,
            running=_find_running(connection, name),
            challengers=_find_challengers(connection, name, definition.retraining.shadow_nights),
            failures=state.failures,
            nights_since_last=None if since is None else count_nights_after(connection, name, since),
            days_since_last=_days_since(since, dates),
            nights_since_training=count_nights_after(connection, name, trained[0]) if trained else None,
            trained_on=[dates[one] for one in trained if one in dates],
            learned_records=max((champion and champion.learned_records) or 0, state.tried_records or 0) or None,
            new_outcomes=new + own,
            new_bad=new_bad + own_bad,
            drift_bad=drift_bad + own_bad,
            is_drifted=champion is not None and _has_drifted(connection, name, champion.version),
            nights=list(dates.values()),
            arrivals=_join(_arrivals_of_loads(connection, name), from_source),
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
    wanted = (jobs.c.portfolio == portfolio, IS_OF_LOOP, jobs.c.state.in_(OPEN_JOB_STATES))
    statement = select(jobs.c.id, jobs.c.task, jobs.c.state).where(*wanted).order_by(jobs.c.id).limit(1)
    row = connection.execute(statement).one_or_none()
    return None if row is None else f"job {row.id} ({row.task.replace('_', '-')}, {row.state})"


def _find_challengers(connection: Connection, portfolio: str, wanted_nights: int) -> list[WaitingChallenger]:
    waiting: list[WaitingChallenger] = []
    for one in find_challengers(connection, portfolio):
        nights = count_shadow_nights(connection, one.version)
        is_judged = one.was_judged(shadow_nights=nights, wanted=wanted_nights)
        _, new_bad = count_new(connection, portfolio, after_id=one.judged_outcome_id or 0)
        waiting.append(WaitingChallenger(one.version, nights, is_judged, new_bad))
    return waiting


def _days_since(night: int | None, dates: Mapping[int, date]) -> int:
    """The days from a night to the newest one, by the book's calendar; 0 if it is not among them."""
    since = None if night is None else dates.get(night)
    return 0 if since is None else (max(dates.values()) - since).days


def _has_drifted(connection: Connection, portfolio: str, version: str) -> bool:
    newest = find_newest_night(connection, portfolio, version)
    statement = select(drift_reports.c.verdict).where(drift_reports.c.job_id == newest)
    return newest is not None and connection.execute(statement).scalar() == Verdict.DRIFTED


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
        until = find_maturity(connection, definition).until
        return _as_arrivals(count_labelled_by_date(connection, definition, after, until=until))
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
