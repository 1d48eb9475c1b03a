"""Errors as problem details (RFC 9457): one table from error to status and stable type."""

import re
import traceback
from collections.abc import Mapping, Sequence, Sized
from logging import getLogger
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from db import errors as db_errors
from db.events.wording import counted
from scheduler.api.pointers import pointer_of, pointer_to
from scheduler.api.seldom import SeldomLogger
from scheduler.data_files.errors import DataFileError
from scheduler.errors import RedisUnreachableError, UsageError
from scheduler.portfolio_files.problems import PortfolioFileError

logger = getLogger(__name__)
_seldom = SeldomLogger(logger)  # without a key, requests are unlimited

MEDIA_TYPE = "application/problem+json"
_SHOWN_ERRORS = 50

# Stable names; each is the last part of the problem's `type`.
TITLES: dict[str, str] = {
    "malformed-body": "The body cannot be read",
    "key-required": "A valid API key is needed",
    "not-allowed": "The key does not allow this",
    "not-found": "Not found",
    "unknown-key": "No record has this key",
    "method-not-allowed": "The method is not supported here",
    "state-conflict": "The current state does not allow this",
    "request-in-flight": "The same request is being processed",
    "too-large": "The request is too large",
    "unsupported-media-type": "The content type is not supported",
    "invalid-request": "The request is not valid",
    "invalid-portfolio": "The portfolio is not valid",
    "invalid-records": "The records cannot be read",
    "idempotency-mismatch": "The idempotency key belongs to another request",
    "too-many-requests": "Too many requests",
    "too-slow": "The request came too slowly",
    "headers-too-large": "The headers of the request are too large",
    "internal-error": "A bug in Tidemark",
    "unavailable": "A required server does not answer",
}
_NAME_OF_STATUS = {
    400: "malformed-body",
    401: "key-required",
    403: "not-allowed",
    404: "not-found",
    405: "method-not-allowed",
    408: "too-slow",
    409: "state-conflict",
    413: "too-large",
    415: "unsupported-media-type",
    422: "invalid-request",
    429: "too-many-requests",
    431: "headers-too-large",
    503: "unavailable",
}


class InvalidPart(BaseModel):
    """One mistake: what is wrong, and where: a JSON pointer into the body, or a parameter's name."""

    model_config = ConfigDict(extra="forbid")

    detail: str = Field(examples=["Input should be a valid integer"])
    pointer: str | None = Field(default=None, examples=["#/records/0/amount"])
    parameter: str | None = Field(default=None, examples=["limit"])
    header: str | None = Field(default=None, examples=["Idempotency-Key"])


class ProblemDocument(BaseModel):
    """Why a request was refused. `type` is stable, the texts are for people."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(examples=["/problems/not-found"])
    title: str = Field(examples=["Not found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["job 17 does not exist"])
    errors: list[InvalidPart] | None = Field(default=None, examples=[[]])


class Problem(Exception):  # noqa: N818 - the standard's word
    """A refusal that says everything about itself."""

    def __init__(
        self,
        status: int,
        name: str,
        detail: str,
        *,
        parts: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        self.name = name
        self.detail = detail
        self.parts = parts
        self.headers = dict(headers or {})
        super().__init__(detail)

    def response(self) -> JSONResponse:
        """Return the response."""
        document: dict[str, Any] = {"type": f"/problems/{self.name}", "title": TITLES[self.name]}
        document |= {"status": self.status, "detail": self.detail}
        if self.parts:
            document["errors"] = [dict(part) for part in self.parts[:_SHOWN_ERRORS]]
        return JSONResponse(document, self.status, self.headers, MEDIA_TYPE)


def not_found(thing: str, name: object) -> Problem:
    """Return the refusal for something that does not exist or that the key has no access to; both look the same."""
    return Problem(404, "not-found", f"{thing} {name} does not exist")


# From the narrowest class to the widest; the first that fits is taken.
_TABLE: tuple[tuple[type[Exception], int, str], ...] = (
    (db_errors.NotFoundError, 404, "not-found"),
    (db_errors.StateConflictError, 409, "state-conflict"),
    (db_errors.IdempotencyConflictError, 422, "idempotency-mismatch"),
    (db_errors.SourceNotGrantedError, 403, "not-allowed"),
    (db_errors.KeyTooWideError, 422, "invalid-request"),
    (db_errors.SourceError, 409, "state-conflict"),
    (db_errors.KeyTypeError, 422, "invalid-records"),
    (PortfolioFileError, 422, "invalid-portfolio"),
    (DataFileError, 422, "invalid-records"),
    (UsageError, 409, "state-conflict"),
    (db_errors.DatabaseError, 503, "unavailable"),
    (RedisUnreachableError, 503, "unavailable"),
)


def problem_of(error: Exception) -> Problem:
    """Translate one of our errors into a refusal."""
    status, name = next((status, name) for kind, status, name in _TABLE if isinstance(error, kind))
    if isinstance(error, PortfolioFileError):
        return _portfolio_problem(error)
    if isinstance(error, db_errors.NotFoundError):
        return not_found(error.thing, error.name)
    if isinstance(error, db_errors.IdempotencyConflictError):
        return Problem(status, name, "this idempotency key was used for a different request")
    if isinstance(error, db_errors.KeyTooWideError):
        return Problem(status, name, str(error), parts=[{"detail": str(error), "pointer": f"#/{error.field}"}])
    if status == 503:
        _seldom.warning("The API cannot answer: %s", error)
        return Problem(status, name, "the database or Redis does not answer", headers={"Retry-After": "2"})
    return Problem(status, name, str(error))


def _portfolio_problem(error: PortfolioFileError) -> Problem:
    parts = [{"detail": one.message, "pointer": pointer_of(one.path)} for one in error.problems]
    return Problem(422, "invalid-portfolio", f"{_count_mistakes(parts)} in the portfolio", parts=parts)


def _validation_problem(error: RequestValidationError) -> Problem:
    found = error.errors()
    if any(one["type"] == "json_invalid" for one in found):
        return Problem(400, "malformed-body", "the body is not valid JSON")
    return Problem(
        422,
        "invalid-request",
        f"{_count_mistakes(found)} in the request",
        parts=[_part_of(e, error.body) for e in found],
    )


def _part_of(error: Mapping[str, Any], body: Any) -> dict[str, str]:
    """One mistake, without the value, which may be personal data."""
    detail, (place, *path) = str(error["msg"]), error["loc"]
    if place == "body":
        return {"detail": detail, "pointer": pointer_to(path, body, is_missing=error["type"] == "missing")}
    name = ".".join(str(part) for part in path)
    return {"detail": detail, "header" if place == "header" else "parameter": name}


def add_problem_handlers(app: FastAPI) -> None:
    """Turn every error of a request into problem details."""

    def tell(_request: Request, error: Exception) -> JSONResponse:
        return problem_of(error).response()

    def tell_problem(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Problem), "registered for it alone"
        return error.response()

    def tell_validation(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError), "registered for it alone"
        return _validation_problem(error).response()

    def tell_status(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException), "registered for it alone"
        name = _NAME_OF_STATUS.get(error.status_code, "malformed-body")
        headers = dict(error.headers or {})
        if error.status_code == 405:  # one path has several routes; each knows its own methods alone
            known = ", ".join(methods_of(app, request.url.path))
            headers |= {"Allow": known} if known else {}  # pages are not in the description
        return Problem(error.status_code, name, str(error.detail), headers=headers).response()

    for kind, _, _ in _TABLE:
        app.add_exception_handler(kind, tell)
    app.add_exception_handler(Problem, tell_problem)
    app.add_exception_handler(RequestValidationError, tell_validation)
    app.add_exception_handler(HTTPException, tell_status)


def methods_of(app: FastAPI, path: str) -> list[str]:
    """Return the methods that a path of the description has."""
    found: set[str] = set()
    for template, operations in app.openapi()["paths"].items():
        if re.fullmatch(re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(template)), path):
            found |= {method.upper() for method in operations}
    return sorted(found)


class FaultMiddleware:
    """Answers unexpected errors with 500, and logs the place but not the message, which may contain personal data."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; answer for it where its answer has not begun."""
        has_begun = False

        async def note_begin(message: Message) -> None:
            nonlocal has_begun
            has_begun = has_begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, note_begin)
        except ClientDisconnect:  # no client is left to answer
            return
        except Exception as error:  # noqa: BLE001 - the one place where every error of a request ends
            frames = "".join(traceback.format_tb(error.__traceback__))
            logger.error("A bug in the API: %s.\n%s", type(error).__name__, frames)  # noqa: TRY400 - not its message
            if scope["type"] != "http" or has_begun:
                return
            response = Problem(500, "internal-error", "the request could not be answered; see the log").response()
            await response(scope, receive, send)


def _count_mistakes(found: Sized) -> str:
    return counted(len(found), "mistake")
