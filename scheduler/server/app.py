"""Builds the application: routers, errors, limits, and the OpenAPI description."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import anyio.to_thread
from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse

from db.connections.engine import Engine
from scheduler.api.context import ApiContext, Reader
from scheduler.api.job_watch import JobWatch
from scheduler.api.problems import (
    TITLES,
    FaultMiddleware,
    InvalidPart,
    ProblemDocument,
    add_problem_handlers,
    not_found,
)
from scheduler.api.rate_limits import RateLimiter
from scheduler.api.recent_keys import RecentKeys
from scheduler.api.routes import (
    erasures,
    events,
    grants,
    job_events,
    jobs,
    keys,
    models,
    online,
    outcomes,
    portfolios,
    promotion,
    records,
    results,
    schedules,
    webhooks,
)
from scheduler.api_settings import ApiSettings
from scheduler.dashboard.site import add_dashboard
from scheduler.requests.online_scoring import OnlineScoring
from scheduler.server import health, metrics
from scheduler.server.door import DoorMiddleware
from scheduler.server.forwarding import ForwardingMiddleware
from scheduler.settings import SchedulerSettings

# As many as the pool of connections serves; more threads would only wait for one.
THREADS = 12
_DESCRIPTION = """
Everything except `/healthz` and `/readyz` needs an API key: `Authorization: Bearer tdm_...`. Roles: `read`, `operate`
(submit, upload, score), `admin` (portfolios, keys, webhooks, models, erasure).

Refusals are problem details (RFC 9457) with a stable `type`; mistakes in a body are named by JSON pointers. Lists
come in pages: send `next_cursor` of one page as `cursor` of the next.
"""
_ROUTERS = (  # the most frequent requests first
    jobs.router, schedules.router, models.router, portfolios.router, health.router, results.router, job_events.router,
    records.router, promotion.router, outcomes.router, outcomes.trust_router, jobs.actions_router, online.router,
    keys.router, models.nights_router, webhooks.router, erasures.router, grants.router, events.router, metrics.router,
)  # fmt: skip


def create_app(engine: Engine, settings: ApiSettings, scheduler_settings: SchedulerSettings) -> FastAPI:
    """Return the application for a database with its tables."""
    app = FastAPI(
        title="Tidemark",
        version=version("tidemark"),
        description=_DESCRIPTION,
        lifespan=_lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    keys_in_force = RecentKeys(engine, settings.api_key_seconds)
    rates = RateLimiter(settings.api_requests_per_minute)
    online = OnlineScoring(engine, scheduler_settings.broker_url, seconds=settings.api_online_seconds)
    keyless = RateLimiter(settings.api_keyless_per_minute, whose="an address without a valid key")
    app.state.context = ApiContext(
        engine, settings, scheduler_settings, keys_in_force, rates, keyless, online, JobWatch(engine)
    )
    add_problem_handlers(app)
    app.add_middleware(DoorMiddleware, site=app)
    app.add_middleware(FaultMiddleware)
    for router in _ROUTERS:  # routes in one list: included routers are matched twice and take a fifth of a request
        app.router.routes.extend(router.routes)
    _add_description(app)
    add_dashboard(app, settings)
    app.add_middleware(ForwardingMiddleware, trusted=settings.proxies)
    app.openapi = lambda: describe_api(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncGenerator[None]:
    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
    yield
    app.state.context.online.close()


def _add_description(app: FastAPI) -> None:
    """Serve the OpenAPI description and the pages of the problem types, to holders of a key."""

    @app.get("/openapi.json", include_in_schema=False)
    def openapi(_caller: Reader, _request: Request) -> JSONResponse:
        return JSONResponse(describe_api(app))

    @app.get("/problems/{name}", include_in_schema=False)
    def problem(_caller: Reader, name: str) -> dict[str, str]:
        if name not in TITLES:
            raise not_found("problem type", name)
        return {"type": f"/problems/{name}", "title": TITLES[name]}


def describe_api(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI description, with the refusals' own schema in it."""
    if app.openapi_schema is None:
        found = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schemas = found.setdefault("components", {}).setdefault("schemas", {})
        reference = "#/components/schemas/{model}"
        schemas["ProblemDocument"] = ProblemDocument.model_json_schema(ref_template=reference)
        schemas["ProblemDocument"].pop("$defs", None)
        schemas["InvalidPart"] = InvalidPart.model_json_schema(ref_template=reference)
        for operations in found["paths"].values():
            for operation in operations.values():
                for parameter in operation.get("parameters", ()):
                    parameter["schema"] = _without_null(parameter["schema"])
        app.openapi_schema = found
    return app.openapi_schema


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """An optional parameter is not nullable: addresses and headers have no null."""
    kinds = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    return {name: value for name, value in schema.items() if name != "anyOf"} | kinds[0]
