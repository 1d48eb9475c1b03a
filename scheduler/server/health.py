"""`/healthz` and `/readyz`: whether the process runs and can work. The only endpoints without a key."""

from logging import getLogger
from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import Field

from db.errors import DatabaseError
from db.migrations.upgrade import schema_versions
from db.operations.diagnosis import read_database_time
from db.operations.processes import list_processes
from scheduler.api.context import context_of
from scheduler.api.parameters import Document
from scheduler.api.seldom import SeldomLogger

router = APIRouter(tags=["health"])
_seldom = SeldomLogger(getLogger(__name__))


class Health(Document):
    """The process responds."""

    status: Literal["ok"] = Field(examples=["ok"])


class Readiness(Document):
    """Whether jobs can be accepted and processed: each check is "ok", or says what is missing."""

    status: Literal["ok", "not ready"] = Field(examples=["ok"])
    database: str = Field(examples=["ok"])
    schema_version: str = Field(examples=["ok"])
    scheduler: str = Field(examples=["ok"])
    workers: str = Field(examples=["ok"])


@router.get("/healthz", response_model=Health)
async def healthz() -> Health:
    """Say that the process is running. Needs no thread, so it answers even when all threads are busy."""
    return Health(status="ok")


@router.get("/readyz", response_model=Readiness, responses={
    503: {"description": "Something required is missing.", "model": Readiness}
})  # fmt: skip
def readyz(request: Request) -> JSONResponse:
    """Say whether the database, its tables, a scheduler and a worker are available."""
    engine = context_of(request).engine
    checks = dict.fromkeys(("database", "schema_version", "scheduler", "workers"), "missing")
    try:
        read_database_time(engine)
        checks["database"] = "ok"
        found, expected = schema_versions(engine)
        checks["schema_version"] = "ok" if found == expected else "outdated"
        if found == expected:
            kinds = [one.kind for one in list_processes(engine) if one.is_alive]
            checks["scheduler"] = "ok" if "scheduler" in kinds else "missing"
            checks["workers"] = "ok" if any(kind.startswith("worker:") for kind in kinds) else "missing"
    except DatabaseError as error:
        _seldom.warning("Not ready: the database does not answer: %s", error.__class__.__name__)
    is_ready = all(found == "ok" for found in checks.values())
    answer = Readiness(status="ok" if is_ready else "not ready", **checks)
    return JSONResponse(answer.model_dump(), 200 if is_ready else 503)
