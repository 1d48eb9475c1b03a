"""Forgets the alarms of a portfolio once they are over, so that the next one is answered at once."""

from dataclasses import replace

from db.connections.engine import Connection
from db.ledger.job_lifecycle import Job, find_job
from db.portfolios.definition import PortfolioDefinition
from db.registry.champions import find_champion
from db.retraining.retraining_state import (
    RetrainingState,
    change_retraining,
    count_nights_after,
    find_newest_night,
    find_verdict_before,
)
from db.retraining.usable_outcomes import find_usable
from db.schema.states import Verdict
from worker.gate.retraining_rules import is_calm
from worker.monitoring.book_calendar import days_between
from worker.monitoring.champion_outcomes import deviation_of


def calm_after_outcomes(
    connection: Connection, definition: PortfolioDefinition, state: RetrainingState
) -> RetrainingState:
    """Look again whether the alarms are over, in the newest night of the champion."""
    champion = find_champion(connection, definition.name)
    newest = None if champion is None else find_newest_night(connection, definition.name, champion.version)
    if newest is None:
        return state
    verdict = find_verdict_before(connection, definition.name, newest + 1)
    assert verdict is not None, "a monitored night has a verdict"
    return calm_down(connection, find_job(connection, newest), verdict, state)


def calm_down(connection: Connection, night: Job, verdict: Verdict, state: RetrainingState) -> RetrainingState:
    """Forget the alarms before once they are over; return the state as it is then."""
    if not state.failures:
        return state
    assert night.model_version is not None, "a monitored job must have a model version"
    name, last = night.portfolio, state.last_night_id
    days = 0 if last is None else days_between(connection, last, night)
    cool_down = night.definition.retraining.cool_down(state.failures)
    is_over = is_calm(
        verdict,
        deviation_of(connection, name, night.model_version),
        has_outcomes=bool(find_usable(connection, name).newest),
        is_cool_down_over=max(count_nights_after(connection, name, last), days) >= cool_down,
    )
    if not is_over:
        return state
    change_retraining(connection, name, failures=0)
    return replace(state, failures=0)
