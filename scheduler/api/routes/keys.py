"""`/v1/keys`: make, list and revoke API keys."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field

from db.access.api_keys import ApiKey, KeyRequest, create_key, list_keys, revoke_key
from db.schema.states import KeyRole
from scheduler.api.context import Admin
from scheduler.api.parameters import NAME_PATTERN, TEXT_PATTERN, Document, Limit, Page, problems
from scheduler.api.problems import Problem, not_found
from scheduler.api.strict_json import StrictRoute

router = APIRouter(prefix="/v1/keys", tags=["access"], route_class=StrictRoute)

_PublicId = Annotated[str, Path(pattern="^[0-9a-f]{12}$", description="The key's id.", examples=["3f9c2a10be77"])]
_KeyCursor = Annotated[
    str | None,
    Query(alias="cursor", description="`next_cursor` of the previous page.", pattern="^[0-9]{1,9}$", examples=["50"]),
]


class NewKey(Document):
    """The rights of a new key."""

    name: str = Field(min_length=1, max_length=64, pattern=TEXT_PATTERN, examples=["nightly"])
    role: KeyRole = Field(examples=["operate"])
    portfolios: list[Annotated[str, Field(pattern=NAME_PATTERN)]] | None = Field(
        default=None, min_length=1, max_length=100, description="null = every portfolio", examples=[None]
    )
    expires_in_days: float | None = Field(
        strict=True, default=None, gt=0, le=3650, description="null = with the key that creates it", examples=[90]
    )
    may_interactive: bool | None = Field(
        strict=True,
        default=None,
        description="Whether it may use the priority interactive; null = like the key that creates it.",
        examples=[None],
    )


class KeyDocument(Document):
    """A key without its secret."""

    id: str = Field(examples=["3f9c2a10be77"])
    name: str = Field(examples=["nightly"])
    role: KeyRole = Field(examples=["operate"])
    portfolios: list[str] | None = Field(examples=[None])
    created_by: str = Field(examples=["anna"])
    parent: str | None = Field(description="id of the key that created it; it ends with that key", examples=[None])
    created_at: datetime = Field(examples=["2026-11-24T21:59:03Z"])
    expires_at: datetime | None = Field(examples=["2027-02-22T21:59:03Z"])
    revoked_at: datetime | None = Field(examples=[None])
    last_used_at: datetime | None = Field(examples=[None])
    may_interactive: bool = Field(description="whether it may use the priority interactive", examples=[True])


class NewKeyDocument(KeyDocument):
    """A new key. Its text is shown only once."""

    key: str = Field(examples=["tdm_3f9c2a10be77_..."])


class KeyPage(Page):
    """Keys, oldest first."""

    keys: list[KeyDocument]


@router.post("", status_code=201, response_model=NewKeyDocument, responses=problems(400, 404, 413, 415))
def create(caller: Admin, wanted: NewKey) -> NewKeyDocument:
    """Create a key with no more rights than this one, that expires no later, and ends with it."""
    reach = caller.key.portfolios
    names = wanted.portfolios if wanted.portfolios is not None or reach is None else list(reach)
    for name in names or ():
        if not caller.may_see(name):
            raise not_found("portfolio", name)
    own = caller.key.may_interactive
    if wanted.may_interactive and not own:
        raise Problem(
            403, "not-allowed", "a key with may_interactive false can only create keys without it; omit the field"
        )
    may_interactive = own if wanted.may_interactive is None else wanted.may_interactive
    request = KeyRequest(wanted.name, wanted.role, names, wanted.expires_in_days, may_interactive)
    text, key = create_key(caller.engine, request, who=caller.who, maker=caller.key)
    return NewKeyDocument(key=text, **_describe(key).model_dump())


@router.get("", response_model=KeyPage, responses=problems())
def list_(caller: Admin, cursor: _KeyCursor = None, limit: Limit = 50) -> KeyPage:
    """List every key with no more rights than this one, including revoked ones."""
    first = int(cursor or 0)
    found = [key for key in list_keys(caller.engine) if caller.key.reaches(key.portfolios)]
    more = str(first + limit) if len(found) > first + limit else None
    return KeyPage(keys=[_describe(key) for key in found[first : first + limit]], next_cursor=more)


@router.delete("/{public_id}", response_model=KeyDocument, responses=problems(404, 409))
def revoke(caller: Admin, public_id: _PublicId) -> KeyDocument:
    """Revoke a key, and every key created with it, at once and permanently."""
    known = {key.public_id: key for key in list_keys(caller.engine)}
    if public_id not in known or not caller.key.reaches(known[public_id].portfolios):
        raise not_found("API key", public_id)
    if public_id in _line_of(caller.key, known):
        raise Problem(409, "state-conflict", "a key cannot revoke itself; use another key, or tidemark key revoke")
    ended = revoke_key(caller.engine, public_id, who=caller.who)
    caller.context.keys.forget({key.public_id for key in ended})
    return _describe(ended[0])


def _line_of(key: ApiKey, known: dict[str, ApiKey]) -> Iterator[str]:
    """Yield the key itself, the one that made it, and so on."""
    found: ApiKey | None = key
    while found is not None:
        yield found.public_id
        found = known.get(found.parent or "")


def _describe(key: ApiKey) -> KeyDocument:
    names = [name for name in KeyDocument.model_fields if name not in {"id", "portfolios"}]
    portfolios = None if key.portfolios is None else list(key.portfolios)
    return KeyDocument(id=key.public_id, portfolios=portfolios, **{name: getattr(key, name) for name in names})
