"""The registry of model versions: what each is, which one is the champion, and every decision about it."""

from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from db.connections.clock import now_plus
from db.connections.engine import reading
from db.errors import NotFoundError
from db.events.event_log import record_event
from db.portfolios.definition import PortfolioDefinition
from db.schema.core_tables import champions, decisions, model_versions
from db.schema.states import ModelState


@dataclass(frozen=True)
class ModelVersion:
    """One immutable model version."""

    version: str
    portfolio: str
    state: ModelState
    job_id: int | None
    parent_version: str | None
    definition: PortfolioDefinition
    metrics: dict[str, Any]
    reference: dict[str, Any]
    created_at: datetime
    learned_until: dict[str, Any] | None = None
    replaced_by: str | None = None

    @property
    def kept_as(self) -> str:
        """The version under which its bundle lies: another one where it was scrubbed."""
        return self.replaced_by or self.version


@dataclass(frozen=True)
class Decision:
    """What was decided about a version, by the gate or a person, with all numbers that were looked at.

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


_MODEL_FIELDS = tuple(field.name for field in fields(ModelVersion))
MODEL_COLUMNS = tuple(model_versions.c[name] for name in _MODEL_FIELDS)
_DECISION_COLUMNS = tuple(decisions.c[field.name] for field in fields(Decision))


def get_model(engine: Engine, version: str) -> ModelVersion:
    """Return one model version. Raises `NotFoundError`."""
    with reading(engine) as connection:
        return find_model(connection, version)


def find_model(connection: Connection, version: str) -> ModelVersion:
    """Return one model version within the caller's transaction. Raises `NotFoundError`."""
    row = connection.execute(select(*MODEL_COLUMNS).where(model_versions.c.version == version)).one_or_none()
    if row is None:
        raise NotFoundError("model version", version, advice="List them with: tidemark model list PORTFOLIO")
    return as_model(row)


def find_model_of(engine: Engine, portfolio: str, version: str) -> ModelVersion | None:
    """Return a model version of this portfolio, None where it has none of that name."""
    is_wanted = (model_versions.c.version == version, model_versions.c.portfolio == portfolio)
    with reading(engine) as connection:
        row = connection.execute(select(*MODEL_COLUMNS).where(*is_wanted)).one_or_none()
    return None if row is None else as_model(row)


def list_models(engine: Engine, portfolio: str) -> list[ModelVersion]:
    """Return a portfolio's model versions, newest first."""
    statement = select(*MODEL_COLUMNS).where(model_versions.c.portfolio == portfolio)
    with reading(engine) as connection:
        rows = connection.execute(statement.order_by(model_versions.c.created_at.desc()))
        return [as_model(row) for row in rows]


def get_champion(engine: Engine, portfolio: str) -> Champion | None:
    """Return the present champion of a portfolio, None before the first promotion."""
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


def get_decision(engine: Engine, number: int) -> Decision:
    """Return one decision. Raises `NotFoundError`."""
    with reading(engine) as connection:
        row = connection.execute(select(*_DECISION_COLUMNS).where(decisions.c.id == number)).one_or_none()
    if row is None:
        raise NotFoundError("decision", number, advice="List them with: tidemark model decisions PORTFOLIO")
    return Decision(*row)


def register_model(  # noqa: PLR0913 - the columns of a model version
    connection: Connection,
    *,
    version: str,
    job_id: int | None,
    definition: PortfolioDefinition,
    metrics: dict[str, Any],
    reference: dict[str, Any],
    parent_version: str | None = None,
    learned_until: dict[str, Any] | None = None,
) -> None:
    """Add a candidate in the caller's transaction; a version that is there already stays as it is."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    values: dict[str, Any] = {
        "version": version,
        "portfolio": definition.name,
        "state": ModelState.CANDIDATE,
        "job_id": job_id,
        "parent_version": parent_version,
        "definition": definition.to_json(),
        "metrics": metrics,
        "reference": reference,
        "learned_until": learned_until,
    }
    connection.execute(dialect.insert(model_versions).values(**values).on_conflict_do_nothing())


def decide(connection: Connection, decision: Decision, *, seen: Champion | None) -> bool:
    """Write a decision in the caller's transaction and, if it says so, move the champion pointer.

    The pointer moves by compare-and-set: if another champion than `seen` is in place by now, nothing is promoted and
    the decision says so. Returns whether the version is the champion afterwards.
    """
    is_same = seen is not None and seen.version == decision.version
    is_promoted = decision.promoted and (is_same or _move_champion(connection, decision, seen))
    conflict = " (not promoted: another champion came first)" if decision.promoted and not is_promoted else ""
    write_decision(connection, replace(decision, promoted=is_promoted, reason=decision.reason + conflict))
    told, state = ("refused", ModelState.REFUSED)
    if is_promoted:
        told = "rolled_back" if decision.action == "rollback" else "promoted"
        state = ModelState.CHAMPION
    elif decision.action == "undecided":
        told, state = ("undecided", ModelState.CHALLENGER)
    if not is_same:
        set_model_state(connection, decision.version, state)
    record_event(
        connection,
        f"model.{told}",
        who=decision.decided_by,
        why=decision.reason + conflict,
        job_id=decision.job_id,
        portfolio=decision.portfolio,
    )
    return is_promoted


def write_decision(connection: Connection, decision: Decision) -> int:
    """Write a decision as it stands, in the caller's transaction; return its id."""
    written = (field.name for field in fields(Decision) if field.name not in ("created_at", "id"))
    values = {name: getattr(decision, name) for name in written}
    return connection.execute(insert(decisions).values(**values).returning(decisions.c.id)).scalar_one()


def _move_champion(connection: Connection, decision: Decision, seen: Champion | None) -> bool:
    if seen is None:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        first = dialect.insert(champions).values(portfolio=decision.portfolio, version=decision.version, revision=1)
        # RETURNING, since the drivers do not agree on the row count of an insert that may do nothing.
        made = connection.execute(first.on_conflict_do_nothing().returning(champions.c.version))
        return made.scalar() is not None
    moved = update(champions).where(champions.c.portfolio == decision.portfolio, champions.c.revision == seen.revision)
    moved = moved.values(version=decision.version, revision=seen.revision + 1, since=now_plus())
    if connection.execute(moved).rowcount != 1:
        return False
    set_model_state(connection, seen.version, ModelState.RETIRED)
    why = f"{seen.version} gave its place to {decision.version}"
    record_event(connection, "model.retired", who=decision.decided_by, why=why, portfolio=decision.portfolio)
    return True


def set_model_state(connection: Connection, version: str, state: ModelState) -> None:
    """Set where a version stands in its life, in the caller's transaction."""
    connection.execute(update(model_versions).where(model_versions.c.version == version).values(state=state))


def as_model(row: Any) -> ModelVersion:
    """Return a row that begins with `MODEL_COLUMNS` as a model version."""
    values: dict[str, Any] = dict(zip(_MODEL_FIELDS, row, strict=False))
    values |= {"state": ModelState(values["state"]), "definition": PortfolioDefinition.from_json(values["definition"])}
    return ModelVersion(**values)
