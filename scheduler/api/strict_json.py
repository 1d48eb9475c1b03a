"""Reads JSON bodies strictly: refuses what no database can store, and what only an attacker sends."""

import json
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import anyio.to_thread
from fastapi import Request, Response
from fastapi._compat import ModelField
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect

from scheduler.api.problems import Problem

DEEPEST = 16
_LONGEST_NUMBER = 40
_LONGEST_FRACTION = 400
# Reading more than this takes longer than another request should wait.
_QUICK_BYTES = 16 << 10
_READERS = 1  # large bodies at once: several would only take each other's time
_MOST_VALUES = 500_000  # reading this many takes some hundredths of a second, during which nothing else is answered
_PLAIN = {"", "identity"}


class StrictRequest(Request):
    """A request whose JSON has no NaN, no repeated names, no text that is not Unicode, and is not deeply nested."""

    async def read(self, field: ModelField, readers: anyio.CapacityLimiter) -> None:
        """Read the body; a large one is parsed and checked in a thread. Raises `Problem` and what FastAPI raises."""
        try:
            body = await self.body()
        except ClientDisconnect as error:
            raise _malformed("the client went away") from error
        if len(body) > _QUICK_BYTES:
            self._value = await anyio.to_thread.run_sync(_parse_and_check, body, field, limiter=readers)
        elif body:
            self._value = parse_strictly(body)

    async def json(self) -> Any:
        """Return the body that was read."""
        return self._value


class StrictRoute(APIRoute):
    """A route that reads its body strictly."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, given another kind of request."""
        handle = super().get_route_handler()
        field = self.body_field

        async def handle_strictly(request: Request) -> Response:
            strict = StrictRequest(request.scope, request.receive)
            if field is not None:
                require_json(request)
                await strict.read(field, _readers_of(request))
            return await handle(strict)

        return handle_strictly


def require_json(request: Request) -> None:
    """Raise `Problem` (415) for a body that is not declared as JSON."""
    headers = request.headers
    if "transfer-encoding" not in headers and headers.get("content-length", "0").strip("0") == "":
        return
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
    if not is_json or headers.get("content-encoding", "").strip().lower() not in _PLAIN:
        detail = f"expected Content-Type: application/json and no Content-Encoding, got {kind or 'none'}"
        raise Problem(415, "unsupported-media-type", detail)


def _readers_of(request: Request) -> anyio.CapacityLimiter:
    """Return the limiter that all routes of an application share."""
    state = request.app.state
    if not hasattr(state, "json_readers"):
        state.json_readers = anyio.CapacityLimiter(_READERS)
    return state.json_readers


def _parse_and_check(body: bytes, field: ModelField) -> Any:
    """Return what the route expects, so that the event loop need not check it again. Raises as FastAPI does."""
    if sum(map(body.count, (b",", b"[", b"{"))) > _MOST_VALUES:  # those within texts count too, they are few
        raise Problem(
            413, "too-large", f"a body may hold at most {_MOST_VALUES} values; send the records in several requests"
        )
    found = parse_strictly(body)
    value, errors = field.validate(found, {}, loc=("body",))
    if errors:
        raise RequestValidationError(errors, body=found)
    return value


def parse_strictly(body: bytes) -> Any:
    """Return the JSON value of a body. Raises `Problem` (400) with the reason."""
    try:
        text = body.decode("utf-8")
        value = json.loads(
            text,
            object_pairs_hook=_refuse_repeats,
            parse_constant=_refuse_constant,
            parse_int=_read_integer,
            parse_float=_read_float,
        )
    except UnicodeDecodeError as error:
        raise _malformed("it is not UTF-8") from error
    except RecursionError as error:
        raise _malformed("it is nested too deeply") from error
    except ValueError as error:
        raise _malformed(_say(error)) from error
    _require_storable(value, 0)
    return value


def _say(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at line {error.lineno}, column {error.colno}"
    return str(error)


def _malformed(why: str) -> Problem:
    return Problem(400, "malformed-body", f"the body is not usable JSON: {why}")


def _refuse_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) != len(pairs):
        raise ValueError("an object has a duplicate name")
    return names


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _read_integer(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError(f"a number has more than {_LONGEST_NUMBER} digits")
    return int(text)


def _read_float(text: str) -> float:
    if len(text) > _LONGEST_FRACTION:
        raise ValueError(f"a number has more than {_LONGEST_FRACTION} digits")
    value = float(text)
    if value in {float("inf"), float("-inf")}:
        raise ValueError("a number is too large")
    return value


def _require_storable(value: Any, depth: int) -> None:
    if depth > DEEPEST:
        raise _malformed(f"it is nested more than {DEEPEST} levels deep")
    if isinstance(value, str):
        _require_text(value)
    elif isinstance(value, dict):
        for name, inner in value.items():
            _require_text(name)
            _require_storable(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _require_storable(inner, depth + 1)


def _require_text(text: str) -> None:
    if "\x00" in text:
        raise _malformed("a text holds the character NUL")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise _malformed("a text holds half a character (a lone surrogate)")
