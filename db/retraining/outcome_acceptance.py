"""A person accepts or rejects the outcomes of a scoring job."""

from dataclasses import dataclass, replace

from sqlalchemy import Connection, Engine

from db.connections.engine import writing
from db.errors import NotFoundError, StateConflictError
from db.events.event_log import record_event
from db.ledger.job_lifecycle import JobRequest, insert_job
from db.portfolios.catalog import find_portfolio
from db.retraining.outcomes import count_again_as_new
from db.retraining.retraining_state import lock_retraining
from db.retraining.vintages import CENSORED, Vintage, change_vintage, find_newest_of_job, find_vintage, find_vintages
from db.schema.states import JobKind, JobTask, Trust


@dataclass(frozen=True)
class TrustChange:
    """The trust in the outcomes of a scoring job, before and after. `vintage_job_id` lets the trigger look again."""

    portfolio: str
    job_id: int
    before: Trust | None
    trust: Trust
    vintage_job_id: int | None


def trust_outcomes(
    engine: Engine, portfolio: str, job_id: int, *, is_accepted: bool, who: str, why: str
) -> TrustChange:
    """Accept the outcomes of a scoring job, or reject them; the event log keeps who did it, and why.

    Accepted outcomes count as new, and what later nights are held against begins with them. The word of a person
    stands until an outcome is corrected. Raises `NotFoundError`, and `StateConflictError` if nothing would change.
    """
    with writing(engine) as connection:
        find_portfolio(connection, portfolio)
        lock_retraining(connection, portfolio)
        vintage = _find(connection, portfolio, job_id, is_accepted=is_accepted)
        trust = Trust.ACCEPTED if is_accepted else Trust.REJECTED
        changed = replace(vintage, trust=trust, trusted_by=who)
        if is_accepted:
            if not vintage.is_used:
                after_id = vintage.judged.get("used_until", 0)
                changed = changed.renumbered(count_again_as_new(connection, job_id, after_id=after_id))
            changed = changed.with_judged(used_until=changed.newest_id or 0, restarts=True)
        change_vintage(connection, changed)
        record_event(connection, f"outcomes.{trust}", who=who, why=why, job_id=job_id, portfolio=portfolio)
        asked = None
        if is_accepted:
            asked = insert_job(connection, JobRequest(JobKind.MONITORING, portfolio, who, {}, task=JobTask.VINTAGES))
    return TrustChange(portfolio, job_id, vintage.trust, trust, asked)


def _find(connection: Connection, portfolio: str, job_id: int, *, is_accepted: bool) -> Vintage:
    vintage = find_vintage(connection, job_id)
    if vintage is None or vintage.portfolio != portfolio:
        known = tuple(str(one) for one in reversed(find_vintages(connection, portfolio)))
        advice = f"See: tidemark outcomes show {portfolio}"
        raise NotFoundError("vintage of scoring job", job_id, known, advice)
    if vintage.figures.get(CENSORED):
        raise StateConflictError(
            f"the outcomes of job {job_id} are not final: its night is younger than outcome_after. They are judged "
            "when it is old enough; or change outcome_after in the portfolio file"
        )
    if vintage.newest_id is None or find_newest_of_job(connection, job_id) != vintage.newest_id:
        raise StateConflictError(
            f"the outcomes of job {job_id} have not been measured since the last load. Wait for the monitoring job, "
            "then try again"
        )
    if is_accepted and vintage.is_used:
        state = "accepted" if vintage.trust is Trust.ACCEPTED else "trusted"
        raise StateConflictError(f"the outcomes of job {job_id} are {state} already; there is nothing to accept")
    if not is_accepted and vintage.trust is Trust.REJECTED:
        raise StateConflictError(f"the outcomes of job {job_id} are rejected already; load a corrected file")
    return vintage
