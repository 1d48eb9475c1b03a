"""Stores the verdicts on measured vintages, with what follows from them."""

from db.connections.engine import Connection
from db.events.event_log import record_event
from db.portfolios.definition import PortfolioDefinition
from db.registry.versions import find_model
from db.retraining.outcomes import count_again_as_new
from db.retraining.vintages import (
    Vintage,
    change_vintage,
    count_outcomes_until,
    find_newest_of_job,
    find_vintages,
    save_vintage,
)
from db.schema.states import USED, Trust
from worker.gate.outcome_trust import chance_error
from worker.monitoring.vintage_judge import WAITING, MeasuredNight, VintageJudge

WHO = "monitor"


def judge_nights(connection: Connection, definition: PortfolioDefinition, measured: list[MeasuredNight]) -> list[int]:
    """Judge the measured vintages and those that wait for a confirmation; store what has changed.

    Returns the scoring jobs whose outcomes are not used. Call it under the lock of the portfolio's trigger.
    """
    before = find_vintages(connection, definition.name)
    judge = VintageJudge(
        before,
        lambda version: _find_held_out(connection, version),
        lambda job_id, newest_id: count_outcomes_until(connection, job_id, newest_id),
    )
    for one in sorted(measured, key=lambda one: one.vintage.job_id):
        known = before.get(one.vintage.job_id)
        if known is None or (known.newest_id or 0) <= (one.vintage.newest_id or 0):  # else measured again since
            judge.take(one)
    judge.look_again()
    judge.confirm()
    for job_id, vintage in sorted(judge.nights.items()):
        if vintage is not before.get(job_id):
            _store(connection, before.get(job_id), vintage)
    return [job_id for job_id, one in sorted(judge.nights.items()) if one.trust in WAITING]


def _find_held_out(connection: Connection, version: str) -> tuple[float, float] | None:
    metrics = find_model(connection, version).metrics
    if not all(name in metrics for name in ("roc_auc", "rows", "bad_rate")):
        return None
    bad = round(metrics["rows"] * metrics["bad_rate"])
    return metrics["roc_auc"], chance_error(bad, round(metrics["rows"]) - bad)


def _store(connection: Connection, before: Vintage | None, vintage: Vintage) -> None:
    """Write a vintage, give outcomes that were held back new ids, and record an event if the trust has changed."""
    was_used, newest_id = before is not None and before.is_used, vintage.newest_id or 0
    if vintage.is_used and before is not None and not was_used:
        if find_newest_of_job(connection, vintage.job_id) != newest_id:
            return  # outcomes arrived meanwhile: the job that measures them follows
        after_id = vintage.judged.get("used_until", 0)
        vintage = vintage.renumbered(count_again_as_new(connection, vintage.job_id, after_id=after_id))
    if vintage.is_used:
        vintage = vintage.with_judged(used_until=vintage.newest_id or 0)
    if before is not None and before.newest_id == newest_id and before.outcomes == vintage.outcomes:
        change_vintage(connection, vintage)
    else:
        save_vintage(connection, vintage)
    _tell_change(connection, before, vintage)


def _tell_change(connection: Connection, before: Vintage | None, vintage: Vintage) -> None:
    trust_before, event, why = None if before is None else before.trust, None, vintage.trust_reason or "judged anew"
    if vintage.trust in WAITING and vintage.trust is not trust_before:
        event, why = "outcomes.distrusted", _tell(vintage)
    elif vintage.trust is Trust.TRUSTED and trust_before is not None and trust_before not in USED:
        event = "outcomes.trusted"
    if event is not None:
        record_event(connection, event, who=WHO, why=why, job_id=vintage.job_id, portfolio=vintage.portfolio)


def _tell(vintage: Vintage) -> str:
    wait = "; they are used when another night confirms it" if vintage.trust is Trust.SURPRISING else ""
    accept = f"tidemark outcomes trust {vintage.portfolio} --job {vintage.job_id}"
    return f"outcomes {vintage.trust}: {vintage.trust_reason}{wait}. Load a corrected file, or accept them: {accept}"
