"""The champion of each portfolio, and every decision about model versions."""

from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from db.connections.clock import now_plus
from db.connections.engine import reading
from db.errors import NotFoundError
from db.events.event_log import record_event
from db.registry.versions import set_model_state
from db.schema.model_tables import champions, decisions
from db.schema.states import ModelState


@dataclass(frozen=True)
class Decision:
    """A decision about a version, by the gate or a person, with all the figures behind it.

    `action` is one of gate, undecided, promote, rollback, scrub, hold, release.
    """

    portfolio: str
    version: str
    against_version: str | None
    promoted: bool
    reason: str
    figures: dict[str, Any]
    decided_by: str
    job_id: int | None
    action: str | None = "gate"
    created_at: datetime | None = None
    id: int | None = None


@dataclass(frozen=True)
class Champion:
    """The present champion; `revision` is what a promotion compares with."""

    version: str
    revision: int


_DECISION_COLUMNS = tuple(decisions.c[field.name] for field in fields(Decision))


def get_champion(engine: Engine, portfolio: str) -> Champion | None:
    """Return the present champion of a portfolio; None before the first promotion."""
    with reading(engine) as connection:
        return find_champion(connection, portfolio)


def list_champion_versions(engine: Engine, *, limit: int) -> list[str]:
    """Return the champions of all portfolios, the newest first."""
    statement = select(champions.c.version).order_by(champions.c.since.desc(), champions.c.portfolio).limit(limit)
    with reading(engine) as connection:
        return list(connection.execute(statement).scalars())


def find_champion(connection: Connection, portfolio: str) -> Champion | None:
    """Return the present champion within the caller's transaction."""
    statement = select(champions.c.version, champions.c.revision).where(champions.c.portfolio == portfolio)
    row = connection.execute(statement).one_or_none()
    return None if row is None else Champion(*row)


def list_decisions(engine: Engine, portfolio: str, *, limit: int = 100) -> list[Decision]:
    """Return the newest decisions about a portfolio's models, newest first."""
    statement = select(*_DECISION_COLUMNS).where(decisions.c.portfolio == portfolio)
    with reading(engine) as connection:
        return [Decision(*row) for row in connection.execute(statement.order_by(decisions.c.id.desc()).limit(limit))]


@dataclass(frozen=True)
class Promotion:
    """Who promoted a version: the gate, or a person's name. `made` says how a challenger was made, else it is empty."""

    who: str
    made: str


def find_promotion(connection: Connection, portfolio: str, version: str) -> Promotion | None:
    """Return the last promotion of a version within the caller's transaction."""
    wanted = (decisions.c.portfolio == portfolio, decisions.c.version == version, decisions.c.promoted)
    newest = select(decisions.c.decided_by, decisions.c.figures).where(*wanted)
    row = connection.execute(newest.order_by(decisions.c.id.desc()).limit(1)).one_or_none()
    return None if row is None else Promotion(row.decided_by, str(row.figures.get("made") or ""))


@dataclass(frozen=True)
class Record:
    """What the decisions about a version say of it: how it was made, and how often the gate has judged it."""

    made: str
    looks: int


def find_record(connection: Connection, version: str) -> Record:
    """Return a version's record within the caller's transaction; `made` is empty for a model trained from scratch."""
    statement = select(decisions.c.figures).where(decisions.c.version == version).order_by(decisions.c.id)
    figures = connection.execute(statement).scalars().all()
    made = next((str(one["made"]) for one in figures if one.get("made")), "")
    return Record(made, sum(bool(one.get("checks")) for one in figures))


def get_decision(engine: Engine, number: int) -> Decision:
    """Return one decision. Raises `NotFoundError`."""
    with reading(engine) as connection:
        row = connection.execute(select(*_DECISION_COLUMNS).where(decisions.c.id == number)).one_or_none()
    if row is None:
        raise NotFoundError("decision", number, advice="List them with: tidemark model decisions PORTFOLIO")
    return Decision(*row)


def decide(connection: Connection, decision: Decision, *, champion_before: Champion | None) -> bool:
    """Write a decision in the caller's transaction and, if it says so, move the champion pointer.

    The pointer moves by compare-and-set: if the champion is no longer `champion_before`, nothing is promoted and
    the decision says so. Returns whether the version is the champion afterwards.
    """
    is_same = champion_before is not None and champion_before.version == decision.version
    is_promoted = decision.promoted and (is_same or _move_champion(connection, decision, champion_before))
    conflict = " (not promoted: another champion was promoted first)" if decision.promoted and not is_promoted else ""
    write_decision(connection, replace(decision, promoted=is_promoted, reason=decision.reason + conflict))
    event, state = ("refused", ModelState.REFUSED)
    if is_promoted:
        event = "rolled_back" if decision.action == "rollback" else "promoted"
        state = ModelState.CHAMPION
    elif decision.action == "undecided":
        event, state = ("undecided", ModelState.CHALLENGER)
    if not is_same:
        set_model_state(connection, decision.version, state)
    record_event(
        connection,
        f"model.{event}",
        who=decision.decided_by,
        why=decision.reason + conflict,
        job_id=decision.job_id,
        portfolio=decision.portfolio,
    )
    return is_promoted


def write_decision(connection: Connection, decision: Decision) -> int:
    """Write a decision unchanged, in the caller's transaction; return its id."""
    written = (field.name for field in fields(Decision) if field.name not in ("created_at", "id"))
    values = {name: getattr(decision, name) for name in written}
    return connection.execute(insert(decisions).values(**values).returning(decisions.c.id)).scalar_one()


def _move_champion(connection: Connection, decision: Decision, champion_before: Champion | None) -> bool:
    if champion_before is None:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        first = dialect.insert(champions).values(portfolio=decision.portfolio, version=decision.version, revision=1)
        # RETURNING, since the drivers do not agree on the row count of an insert that may do nothing.
        made = connection.execute(first.on_conflict_do_nothing().returning(champions.c.version))
        return made.scalar() is not None
    moved = update(champions).where(
        champions.c.portfolio == decision.portfolio, champions.c.revision == champion_before.revision
    )
    moved = moved.values(version=decision.version, revision=champion_before.revision + 1, since=now_plus())
    if connection.execute(moved).rowcount != 1:
        return False
    set_model_state(connection, champion_before.version, ModelState.RETIRED)
    why = f"{champion_before.version} was replaced by {decision.version}"
    record_event(connection, "model.retired", who=decision.decided_by, why=why, portfolio=decision.portfolio)
    return True
