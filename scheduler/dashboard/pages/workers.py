"""`/workers`: running processes, their memory, and what each worker is working on."""

from dataclasses import replace

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from db.ledger.shard_map import WorkerShard, list_worker_shards
from db.operations.diagnosis import read_database_time
from db.operations.processes import list_processes
from scheduler.api.context import Caller
from scheduler.dashboard.access import Reader
from scheduler.dashboard.rendering import show

router = APIRouter(prefix="/workers")


@router.get("")
def show_workers(request: Request, visitor: Reader) -> HTMLResponse:
    """Show schedulers, workers and their processes."""
    return show(request, visitor, "workers.html", **_read(visitor.caller))


@router.get("/live")
def show_live(request: Request, visitor: Reader) -> HTMLResponse:
    """Show the live part of the page."""
    return show(request, visitor, "workers_live.html", **_read(visitor.caller))


def _read(caller: Caller) -> dict[str, object]:
    now = read_database_time(caller.engine)
    processes = [(one, (now - one.seen_at).total_seconds()) for one in list_processes(caller.engine)]
    return {"processes": processes, "shards": [_seen_by(caller, one) for one in list_worker_shards(caller.engine)]}


def _seen_by(caller: Caller, shard: WorkerShard) -> WorkerShard:
    """Hide what a worker does for a portfolio that the key has no access to."""
    if caller.may_see(shard.portfolio):
        return shard
    return replace(shard, job_id=0, portfolio="another portfolio", model_version=None)
