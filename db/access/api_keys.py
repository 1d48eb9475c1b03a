"""API keys: shown once when created, stored as a hash, checked on every request, revoked permanently."""

import hashlib
import hmac
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, exists, false, func, insert, or_, select, update

from db.connections.clock import now_plus
from db.connections.engine import reading, writing
from db.errors import KeyTooWideError, NotFoundError
from db.events.event_log import record_event
from db.portfolios.catalog import find_portfolio
from db.schema.api_tables import api_keys
from db.schema.states import KeyRole

KEY_PREFIX = "tdm"
_PUBLIC_BYTES, _SECRET_BYTES = 6, 32
_USE_NOTED_EVERY_SECONDS = 60.0
_SECONDS_OF_A_DAY = 24 * 3600.0


@dataclass(frozen=True)
class ApiKey:
    """A key without its secret. `portfolios` None means every portfolio; `parent` is the key that created it."""

    public_id: str
    name: str
    role: KeyRole
    portfolios: tuple[str, ...] | None
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    parent: str | None = None
    may_interactive: bool = True

    def reaches(self, portfolios: Collection[str] | None) -> bool:
        """Whether the key may see all of these portfolios; None means every portfolio."""
        return self.portfolios is None or (portfolios is not None and set(portfolios) <= set(self.portfolios))


@dataclass(frozen=True)
class KeyRequest:
    """The rights of a new key. `expires_in_days` None means never; `may_interactive` allows that priority."""

    name: str
    role: KeyRole
    portfolios: Sequence[str] | None = None
    expires_in_days: float | None = None
    may_interactive: bool = True


_COLUMNS = tuple(api_keys.c[field.name] for field in fields(ApiKey))
_SELF, _MAKER = api_keys.alias("self"), api_keys.alias("maker")
_OWN = (
    select(_SELF.c.parent, _SELF.c.revoked_at, _SELF.c.expires_at)
    .where(_SELF.c.public_id == bindparam("public_id"))
    .cte("line", recursive=True)
)
_LINE = _OWN.union(  # the key, the one that made it, and so on
    select(_MAKER.c.parent, _MAKER.c.revoked_at, _MAKER.c.expires_at).join(_OWN, _MAKER.c.public_id == _OWN.c.parent)
)
_IS_OVER = exists().where(
    or_(_LINE.c.revoked_at.is_not(None), func.coalesce(_LINE.c.expires_at <= now_plus(), false()))
)
_IS_STALE = or_(api_keys.c.last_used_at.is_(None), api_keys.c.last_used_at < now_plus(-_USE_NOTED_EVERY_SECONDS))
# Built once, because it runs at every request.
_CHECKED = select(*_COLUMNS, api_keys.c.secret_hash, _IS_OVER.label("is_over"), _IS_STALE.label("is_stale")).where(
    api_keys.c.public_id == bindparam("public_id")
)


def create_key(engine: Engine, request: KeyRequest, *, who: str, maker: ApiKey | None = None) -> tuple[str, ApiKey]:
    """Store a new key and return its text, which cannot be read again, and its properties.

    A key created by another one expires no later and has no wider rights. Raises `KeyTooWideError`, and
    `NotFoundError` for a portfolio that does not exist.
    """
    _check_width(request, maker)
    public_id, secret = secrets.token_hex(_PUBLIC_BYTES), secrets.token_urlsafe(_SECRET_BYTES)
    names = None if request.portfolios is None else sorted(set(request.portfolios))
    latest = None if maker is None else maker.expires_at
    ends = latest if request.expires_in_days is None else now_plus(request.expires_in_days * _SECONDS_OF_A_DAY)
    with writing(engine) as connection:
        for name in names or ():
            find_portfolio(connection, name)
        values = {"public_id": public_id, "name": request.name, "secret_hash": _hash(secret), "role": request.role}
        values |= {"portfolios": names, "created_by": who, "expires_at": ends}
        values["parent"] = None if maker is None else maker.public_id
        values |= {"may_interactive": request.may_interactive}
        connection.execute(insert(api_keys).values(**values))
        _record(connection, "created", public_id, request.name, who)
        key = _find(connection, public_id)
        if latest is not None and (key.expires_at is None or key.expires_at > latest):
            raise KeyTooWideError("expires_in_days", f"an expiry no later than {latest.isoformat()}")
    return f"{KEY_PREFIX}_{public_id}_{secret}", key


def _check_width(request: KeyRequest, maker: ApiKey | None) -> None:
    if maker is not None and request.role.rank > maker.role.rank:
        raise KeyTooWideError("role", f"{maker.role} or less")
    if maker is not None and not maker.reaches(request.portfolios):
        raise KeyTooWideError("portfolios", "portfolios that the requesting key can see")


def check_key(engine: Engine, text: str) -> ApiKey | None:
    """Return the valid key with this text, or None."""
    prefix, _, rest = text.partition("_")
    public_id, _, secret = rest.partition("_")
    if prefix != KEY_PREFIX or not (public_id.isascii() and public_id.isalnum()):
        return None
    with reading(engine) as connection:
        row = connection.execute(_CHECKED, {"public_id": public_id}).one_or_none()
    # Compared even without such a key, so that the response time reveals nothing.
    is_right = hmac.compare_digest(_hash(secret), "" if row is None else row.secret_hash)
    if row is None or not is_right or row.is_over:
        return None
    if row.is_stale:
        _note_use(engine, public_id)
    return _as_key(row)


def find_key_in_force(engine: Engine, public_id: str) -> ApiKey | None:
    """Return a valid key whose holder proved it earlier; None if it was revoked or has expired."""
    with reading(engine) as connection:
        row = connection.execute(_CHECKED, {"public_id": public_id}).one_or_none()
    if row is None or row.is_over:
        return None
    if row.is_stale:
        _note_use(engine, public_id)
    return _as_key(row)


def record_session(engine: Engine, key: ApiKey, event: str, *, who: str) -> None:
    """Record in the event log that a key's holder `signed_in` to the dashboard, or `signed_out`."""
    with writing(engine) as connection:
        _record(connection, event, key.public_id, key.name, who)


def list_keys(engine: Engine) -> list[ApiKey]:
    """Return every key, including revoked ones, oldest first."""
    with reading(engine) as connection:
        return [_as_key(row) for row in connection.execute(select(*_COLUMNS).order_by(api_keys.c.id))]


def revoke_key(engine: Engine, public_id: str, *, who: str) -> list[ApiKey]:
    """Revoke a key, and every key created with it; return them, itself first.

    Revoking twice is harmless: then it ends nothing. Raises `NotFoundError`.
    """
    with writing(engine) as connection:
        ended = [_find(connection, public_id)]
        for key in ended:  # grows while it is gone through
            _end_unless_ended(connection, key, who)
            made = select(*_COLUMNS).where(api_keys.c.parent == key.public_id).order_by(api_keys.c.id)
            ended += [_as_key(row) for row in connection.execute(made)]
        return [_find(connection, key.public_id) for key in ended]


def _end_unless_ended(connection: Connection, key: ApiKey, who: str) -> None:
    is_kept = (api_keys.c.public_id == key.public_id, api_keys.c.revoked_at.is_(None))
    if connection.execute(update(api_keys).where(*is_kept).values(revoked_at=now_plus())).rowcount == 1:
        _record(connection, "revoked", key.public_id, key.name, who)


def _find(connection: Connection, public_id: str) -> ApiKey:
    row = connection.execute(select(*_COLUMNS).where(api_keys.c.public_id == public_id)).one_or_none()
    if row is None:
        raise NotFoundError("API key", public_id, advice="List them with: tidemark key list")
    return _as_key(row)


def _note_use(engine: Engine, public_id: str) -> None:
    with writing(engine) as connection:
        used = update(api_keys).where(api_keys.c.public_id == public_id)
        connection.execute(used.values(last_used_at=now_plus()))


def _record(connection: Connection, event: str, public_id: str, name: str, who: str) -> None:
    record_event(connection, f"key.{event}", who=who, why=f"key {public_id} ({name})")


def _hash(secret: str) -> str:
    # The secret is 256 random bits: there is nothing to guess, so no slow hash is needed.
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def _as_key(row: Any) -> ApiKey:
    values: dict[str, Any] = {field.name: getattr(row, field.name) for field in fields(ApiKey)}
    values |= {"role": KeyRole(row.role), "portfolios": None if row.portfolios is None else tuple(row.portfolios)}
    return ApiKey(**values)
