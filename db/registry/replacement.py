"""Replaces a model version by the same model in a bundle without personal records."""

from sqlalchemy import Connection, Engine, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite

from db.connections.engine import reading
from db.errors import StateConflictError
from db.events.event_log import record_event
from db.registry.champions import Decision, find_champion, write_decision
from db.registry.versions import find_model, set_model_state
from db.schema.model_tables import champions, model_versions
from db.schema.states import ModelState

ACTION = "scrub"


def find_replacement(engine: Engine, version: str) -> str | None:
    """Return the version that replaced this one; None if there is none or it is unknown."""
    with reading(engine) as connection:
        statement = select(model_versions.c.replaced_by).where(model_versions.c.version == version)
        return connection.execute(statement).scalar()


def list_versions(engine: Engine) -> dict[str, str]:
    """Return the portfolio of every version, the oldest first."""
    statement = select(model_versions.c.version, model_versions.c.portfolio).order_by(model_versions.c.created_at)
    with reading(engine) as connection:
        return {row[0]: row[1] for row in connection.execute(statement)}


def replace_version(connection: Connection, old: str, new: str, *, who: str, job_id: int) -> None:
    """Replace `old` by `new` in the caller's transaction: state, figures, and the champion's pointer.

    `old` keeps its history, and its bundle is found under `new`. Raises `StateConflictError` if it
    has been replaced already, or if the champion changes at this moment.
    """
    model = find_model(connection, old)
    noted = update(model_versions).where(model_versions.c.version == old, model_versions.c.replaced_by.is_(None))
    if connection.execute(noted.values(replaced_by=new)).rowcount != 1:
        raise StateConflictError(f"model version {old} was replaced just now; check again")
    _copy_row(connection, old, new)
    champion_before = find_champion(connection, model.portfolio)
    is_champion = champion_before is not None and champion_before.version == old
    if champion_before is not None and is_champion:
        here = (champions.c.portfolio == model.portfolio, champions.c.revision == champion_before.revision)
        moved = update(champions).where(*here).values(version=new, revision=champion_before.revision + 1)
        if connection.execute(moved).rowcount != 1:
            raise StateConflictError(f"another champion of {model.portfolio} was promoted just now")
    if model.state in (ModelState.CHAMPION, ModelState.CHALLENGER):
        set_model_state(connection, old, ModelState.RETIRED)
    why = f"{new} is {old} without personal records; every score is the same"
    decided = Decision(model.portfolio, new, old, is_champion, why, {}, who, None, ACTION)
    write_decision(connection, decided)
    record_event(connection, "model.scrubbed", who=who, why=why, job_id=job_id, portfolio=model.portfolio)


def _copy_row(connection: Connection, old: str, new: str) -> None:
    own = {"version": literal(new), "parent_version": literal(old)}
    columns = [column for column in model_versions.c if column.name != "replaced_by"]
    values = [own.get(column.name, column) for column in columns]
    copied = select(*values).where(model_versions.c.version == old)
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(model_versions).from_select([one.name for one in columns], copied)
    connection.execute(statement.on_conflict_do_nothing())
