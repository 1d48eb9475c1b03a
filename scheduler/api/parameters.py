"""Parameters shared by several endpoints, described once for OpenAPI, and the cursors of pages."""

from typing import Annotated, Any

from fastapi import Header, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from scheduler.api.problems import MEDIA_TYPE

LARGEST_ID = 2**53 - 1  # what every JSON reader can hold
NAME_PATTERN = r"^[a-z][a-z0-9_-]{0,63}$"
VERSION_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
# No control characters; Unicode is welcome.
TEXT_PATTERN = r"^[^\x00-\x1f\x7f-\x9f]*$"
_HEX = r"^([0-9a-f]{2}){1,1024}$"
_NUMBER_CURSOR = r"^[1-9][0-9]{0,17}$"
_PLACE_CURSOR = r"^[0-9]{1,18}-[0-9]{1,9}$"

PortfolioName = Annotated[str, Path(description="Name of the portfolio.", pattern=NAME_PATTERN, examples=["customers"])]
JobId = Annotated[int, Path(description="Id of the job.", ge=1, le=LARGEST_ID, examples=[1])]
ScheduleId = Annotated[int, Path(description="Id of the schedule.", ge=1, le=2**31 - 1, examples=[1])]
Version = Annotated[str, Path(description="Model version.", pattern=VERSION_PATTERN, examples=["m-3f9c2a"])]
Limit = Annotated[int, Query(description="Rows per page.", ge=1, le=1000, examples=[50])]
_OF_PAGE = "`next_cursor` of the previous page; omit it for the first page."
NumberCursor = Annotated[
    str | None, Query(alias="cursor", description=_OF_PAGE, pattern=_NUMBER_CURSOR, examples=["17"])
]
KeyCursor = Annotated[str | None, Query(alias="cursor", description=_OF_PAGE, pattern=_HEX, examples=["3432"])]
PlaceCursor = Annotated[
    str | None, Query(alias="cursor", description=_OF_PAGE, pattern=_PLACE_CURSOR, examples=["3-120"])
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="Sending the same body again with the same key returns the same job.",
        pattern=r"^[\x21-\x7e]{1,255}$",
        examples=["tonight-2026-11-24"],
    ),
]
Why = Annotated[
    str,
    Field(
        default="", max_length=500, pattern=TEXT_PATTERN, description="Kept in the event log.", examples=["too slow"]
    ),
]


class Document(BaseModel):
    """Base of every JSON document: unknown names are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, from_attributes=True, protected_namespaces=())


class Page(Document):
    """What every page of a list has besides its rows."""

    next_cursor: str | None = Field(description="null on the last page", examples=["17"])


def encode_key(key: str) -> str:
    """Return a record key as a cursor.

    >>> encode_key("42")
    '3432'
    """
    return key.encode().hex()


def decode_key(cursor: str | None) -> str | None:
    """Return the record key of a cursor; bytes that are no text sort like the text nearest to them."""
    return None if cursor is None else bytes.fromhex(cursor).decode(errors="replace").replace("\x00", "")


def decode_place(cursor: str | None) -> tuple[int, int] | None:
    """Return shard and ordinal of a cursor."""
    if cursor is None:
        return None
    shard, _, ordinal = cursor.partition("-")
    return int(shard), int(ordinal)


_TEXTS = {
    400: "The body cannot be read.",
    401: "No valid API key.",
    403: "The key's role is too low, or the source is not granted to the portfolio.",
    404: "It does not exist, or the key has no access to it.",
    408: "The body came too slowly.",
    409: "The current state does not allow it.",
    413: "The body is too large.",
    415: "The content type is not supported.",
    422: "The request is not valid.",
    429: "Too many requests with this key.",
    503: "The database or Redis does not answer.",
}
_EVERYWHERE = (401, 403, 422, 429, 503)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses of an endpoint for the refusals that it can give besides the usual ones."""
    return {
        status: {
            "description": _TEXTS[status],
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
        }
        for status in sorted({*_EVERYWHERE, *statuses})
    }
