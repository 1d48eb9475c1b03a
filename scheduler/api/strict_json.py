"""Reads JSON bodies strictly: what no database can store, or what only an attacker sends, is refused at the door."""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from scheduler.api.problems import Problem

DEEPEST = 16
_LONGEST_NUMBER = 40


class StrictRequest(Request):
    """A request whose JSON has no NaN, no repeated names, no text that is not Unicode, and is not deeply nested."""

    async def json(self) -> Any:
        """Return the body. Raises `Problem` (400)."""
        if not hasattr(self, "_strict"):
            self._strict = parse_strictly(await self.body())
        return self._strict


class StrictRoute(APIRoute):
    """A route that reads its body strictly."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, given another kind of request."""
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            return await handle(StrictRequest(request.scope, request.receive))

        return handle_strictly


def parse_strictly(body: bytes) -> Any:
    """Return the JSON value of a body. Raises `Problem` (400) that tells what is wrong with it."""
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
    return Problem(400, "malformed-body", f"the body is not JSON that can be used: {why}")


def _refuse_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) != len(pairs):
        raise ValueError("an object holds a name twice")
    return names


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _read_integer(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError(f"a number has more than {_LONGEST_NUMBER} digits")
    return int(text)


def _read_float(text: str) -> float:
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
