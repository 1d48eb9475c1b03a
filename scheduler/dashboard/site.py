"""Adds the dashboard to the API's application."""

from functools import partial

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from scheduler.api_settings import ApiSettings
from scheduler.dashboard.cookie_secret import read_secret
from scheduler.dashboard.pages import (
    customer,
    drift,
    glossary,
    jobs,
    loop,
    models,
    promotion,
    signing_in,
    tonight,
    workers,
)
from scheduler.dashboard.refusals import PageMiddleware
from scheduler.dashboard.rendering import STATIC, Pages
from scheduler.dashboard.sessions import Sessions

_ROUTERS = (
    signing_in.router, tonight.router, jobs.router, drift.router, loop.router, models.router, promotion.router,
    customer.router, workers.router, glossary.router,
)  # fmt: skip


def add_dashboard(app: FastAPI, settings: ApiSettings) -> None:
    """Add the pages and their parts; they are not part of the API's description."""
    pages = Pages()
    app.state.pages = pages
    app.state.sessions = Sessions(partial(read_secret, settings), settings.cookie_secure)
    app.add_middleware(PageMiddleware, render=pages.render)
    for router in _ROUTERS:
        app.include_router(router, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
