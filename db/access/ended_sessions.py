"""Dashboard sessions that were signed out early, so that a copy of their cookie no longer works."""

from sqlalchemy import Engine, delete, exists, select
from sqlalchemy.dialects import postgresql, sqlite

from db.connections.clock import now_plus
from db.connections.engine import reading, writing
from db.schema.api_tables import ended_sessions


def end_session(engine: Engine, session_id: str, *, lifetime_seconds: float) -> None:
    """End a session permanently, and delete those whose cookies have expired. Repeating it changes nothing."""
    dialect = postgresql if engine.dialect.name == "postgresql" else sqlite
    ended = dialect.insert(ended_sessions).values(session_id=session_id, forget_at=now_plus(lifetime_seconds))
    with writing(engine) as connection:
        connection.execute(delete(ended_sessions).where(ended_sessions.c.forget_at < now_plus()))
        connection.execute(ended.on_conflict_do_nothing())


def is_session_ended(engine: Engine, session_id: str) -> bool:
    """Whether a session was signed out."""
    found = exists().where(ended_sessions.c.session_id == session_id)
    with reading(engine) as connection:
        return bool(connection.execute(select(found)).scalar())
