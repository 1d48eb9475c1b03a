"""Reads the report about a portfolio's loop, and cuts its nights into pages."""

from collections.abc import Sequence

from db.connections.engine import Engine
from db.portfolios.catalog import Portfolio
from db.retraining.loop_history import LoopNight, read_loop_history
from db.retraining.loop_state import read_loop_state
from db.retraining.next_look import next_look
from scheduler.reports.loop_report import LoopReport, build_report


def read_loop_report(engine: Engine, portfolio: Portfolio) -> LoopReport:
    """Return the report of a portfolio as it is now."""
    definition = portfolio.definition
    history = read_loop_history(engine, portfolio.name, definition.monitoring)
    look = next_look(read_loop_state(engine, definition, history.nights), definition.retraining)
    return build_report(portfolio.name, definition.title, history, look, champion=portfolio.champion)


def cut_nights(nights: Sequence[LoopNight], *, before: int | None, limit: int) -> tuple[list[LoopNight], int | None]:
    """Return the newest nights before a job, oldest first, and the job before which the next page begins."""
    wanted = [one for one in nights if before is None or one.job_id < before]
    page = wanted[-limit:]
    return page, page[0].job_id if len(wanted) > limit else None
