"""Changes of the champion outside the gate: by a person, or back to the previous one. Compare-and-set."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, or_, select

from db.connections.engine import writing
from db.errors import StateConflictError
from db.events.event_log import record_event
from db.ledger.job_lifecycle import JobRequest, insert_job
from db.monitoring.unusable_nights import mark_unusable
from db.portfolios.catalog import find_portfolio
from db.portfolios.retraining_policy import AffectedNights
from db.registry.champions import Champion, Decision, decide, find_champion, write_decision
from db.registry.replacement import ACTION as SCRUBBED
from db.registry.versions import find_model
from db.retraining.retraining_state import change_retraining, lock_retraining
from db.schema.core_tables import jobs
from db.schema.model_tables import champions, decisions, model_versions
from db.schema.retraining_tables import retraining
from db.schema.states import JobKind, JobState

# Figures of a decision: which columns are suspicious, and for what a candidate was refused.
SUSPICIOUS, REFUSED_FOR, CHANCE = "suspicious", "refused_for", "chance"


@dataclass(frozen=True)
class ChampionChange:
    """The result of a promotion or a rollback. `nights` are the scoring jobs that it marked; `job_id` scores again."""

    portfolio: str
    version: str
    before: str | None
    nights: tuple[int, ...] = ()
    job_id: int | None = None


def promote_version(
    engine: Engine, version: str, *, who: str, why: str, accept_suspicious: bool = False
) -> ChampionChange:
    """Make a version the champion at the request of a person.

    Raises `StateConflictError` if it already is, and if the gate found columns that seem to be known only after the
    outcome, unless the person accepts them; then the decision and the event say so.
    """
    with writing(engine) as connection:
        model = find_model(connection, version)
        champion_before = find_champion(connection, model.portfolio)
        if champion_before is not None and champion_before.version == version:
            raise StateConflictError(f"model version {version} is the champion of {model.portfolio} already")
        reason = why or "promoted by hand"
        doubts = find_doubts(connection, model.portfolio).get(version, "")
        if doubts and not accept_suspicious:
            raise StateConflictError(
                f"model version {version} is suspicious: {doubts}. Remove the column from the portfolio and train "
                "again; or, if it is known before the outcome, promote with --accept-suspicious"
            )
        reason += f"; {who} accepted that {doubts}" if doubts else ""
        decision = _decision(model.portfolio, version, champion_before, "promote", who, reason, {})
        if not decide(connection, decision, champion_before=champion_before):
            raise StateConflictError(f"another champion of {model.portfolio} was promoted just now; check again")
    return ChampionChange(model.portfolio, version, None if champion_before is None else champion_before.version)


def find_doubts(connection: Connection, portfolio: str) -> dict[str, str]:
    """Return the gate's suspicions by version; versions without suspicions are left out."""
    statement = select(decisions.c.version, decisions.c.figures).where(decisions.c.portfolio == portfolio)
    doubts: dict[str, dict[str, None]] = {}
    for version, figures in connection.execute(statement):
        for one in figures.get(SUSPICIOUS, []):
            doubts.setdefault(version, {})[one["told"]] = None
    return {version: "; ".join(found) for version, found in doubts.items()}


def roll_back(engine: Engine, portfolio: str, *, who: str, why: str) -> ChampionChange:
    """Restore the previous champion, as the gate or a person left it.

    Raises `StateConflictError` if there is none, or if the present one was itself restored by a rollback.
    """
    with writing(engine) as connection:
        find_portfolio(connection, portfolio)
        lock_retraining(connection, portfolio)
        return roll_back_within(connection, portfolio, who=who, why=why or "rolled back by hand", figures={})


def roll_back_within(
    connection: Connection, portfolio: str, *, who: str, why: str, figures: dict[str, Any]
) -> ChampionChange:
    """Do what `roll_back` does in the caller's transaction, with the figures behind it."""
    champion_before = find_champion(connection, portfolio)
    before = None if champion_before is None else find_previous_champion(connection, portfolio, champion_before.version)
    if champion_before is None or before is None:
        raise StateConflictError(
            f"portfolio {portfolio} has no champion to go back to; choose one: tidemark model promote VERSION"
        )
    since = connection.execute(select(champions.c.since).where(champions.c.portfolio == portfolio)).scalar_one()
    decision = _decision(portfolio, before, champion_before, "rollback", who, why, figures)
    if not decide(connection, decision, champion_before=champion_before):
        raise StateConflictError(f"another champion of {portfolio} was promoted just now; check again")
    nights = _nights_of(connection, portfolio, champion_before.version, since)
    job_id = _answer_for_nights(
        connection, portfolio, nights, before, f"scored by {champion_before.version}, which was rolled back"
    )
    return ChampionChange(portfolio, before, champion_before.version, nights, job_id)


def find_previous_champion(connection: Connection, portfolio: str, version: str) -> str | None:
    """Return the champion that `version` replaced; None for a first one, or one restored by a rollback."""
    wanted = (decisions.c.portfolio == portfolio, decisions.c.version == version, decisions.c.promoted)
    newest = select(decisions.c.against_version, decisions.c.action).where(*wanted)
    row = connection.execute(newest.order_by(decisions.c.id.desc()).limit(1)).one_or_none()
    if row is None or row.action == "rollback" or row.against_version in (None, version):
        return None
    if row.action == SCRUBBED:  # the same model, so its predecessor is also this one's
        return find_previous_champion(connection, portfolio, row.against_version)
    return find_model(connection, row.against_version).kept_as


def hold(engine: Engine, portfolio: str, *, held: bool, who: str, why: str) -> bool:
    """Stop or allow automatic fine-tuning and promotion; return whether that changed anything."""
    with writing(engine) as connection:
        find_portfolio(connection, portfolio)
        state = lock_retraining(connection, portfolio)
        if state.is_held is held:
            return False
        change_retraining(connection, portfolio, is_held=held)
        action = "hold" if held else "release"
        champion_before = find_champion(connection, portfolio)
        if champion_before is not None:
            decision = _decision(portfolio, champion_before.version, None, action, who, why or f"{action} by hand", {})
            write_decision(connection, decision)
        record_event(connection, f"retraining.{action}", who=who, why=why, portfolio=portfolio)
    return True


def is_held(engine: Engine, portfolio: str) -> bool:
    """Whether a portfolio is on hold."""
    with writing(engine) as connection:
        statement = select(retraining.c.is_held).where(retraining.c.portfolio == portfolio)
        return bool(connection.execute(statement).scalar())


def _decision(  # noqa: PLR0913, PLR0917 - the columns of a decision
    portfolio: str,
    version: str,
    champion_before: Champion | None,
    action: str,
    who: str,
    why: str,
    figures: dict[str, Any],
) -> Decision:
    return Decision(
        portfolio=portfolio,
        version=version,
        against_version=None if champion_before is None else champion_before.version,
        promoted=action in ("promote", "rollback"),
        reason=why,
        figures=figures,
        decided_by=who,
        job_id=None,
        action=action,
    )


def _nights_of(connection: Connection, portfolio: str, version: str, since: Any) -> tuple[int, ...]:
    """Return the nights that a champion scored, including those under its former name if it was scrubbed."""
    wanted = (jobs.c.portfolio == portfolio, jobs.c.kind == JobKind.SCORING, jobs.c.state == JobState.DONE)
    named = or_(model_versions.c.version == version, model_versions.c.replaced_by == version)
    is_own = jobs.c.model_version.in_(select(model_versions.c.version).where(named))
    statement = select(jobs.c.id).where(*wanted, is_own, jobs.c.created_at >= since)
    return tuple(connection.execute(statement.order_by(jobs.c.id)).scalars())


def _answer_for_nights(
    connection: Connection, portfolio: str, nights: tuple[int, ...], version: str, why: str
) -> int | None:
    """Mark the nights of a champion that was rolled back; by policy, score the book again with the restored one."""
    for job_id in nights:
        mark_unusable(connection, job_id, why, who="rollback")
    policy = find_portfolio(connection, portfolio).definition.retraining
    if not nights or policy.affected_nights is AffectedNights.MARK:
        return None
    again = JobRequest(JobKind.SCORING, portfolio, "rollback", {}, version, f"rollback-of-{nights[-1]}-to-{version}")
    return insert_job(connection, again)
