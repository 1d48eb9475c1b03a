"""What the ledger costs: planning, hinting, claiming, renewing, completing and closing a job of 2,000 shards.

    python -m benchmarks.ledger_cost FINISHED_DATABASE_URL [EMPTY_DATABASE_URL]

The first database holds a finished scoring job of shards of the default size (the demo's will do): it says how long a
worker works on a shard. The ledger is then driven in the second (default: a new SQLite file) with shards of one record.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from sqlalchemy import Engine, text

from benchmarks.report import write_report
from db.connections.clock import UtcDateTime
from db.connections.engine import opened_engine, reading, writing
from db.ledger.dispatch_hints import list_unhinted, mark_hinted
from db.ledger.job_lifecycle import JobRequest, get_job, submit_job
from db.ledger.shard_leases import claim_shard, insert_shards, renew_lease
from db.migrations.upgrade import prepare_database
from db.results.shard_results import complete_scored_shard
from db.schema.states import JobKind
from db.sources.source_table import plan_key_ranges
from tests.building import BOOK, MODEL, add_model, load_book, result_for

SHARDS = 2000
_SHARD_SECONDS = """
    SELECT j.shards_total, j.scored FROM tidemark_jobs j
    WHERE j.kind = 'scoring' AND j.state = 'done' ORDER BY j.scored DESC, j.id DESC LIMIT 1
"""


def main() -> None:
    with opened_engine(sys.argv[1]) as finished, tempfile.TemporaryDirectory() as folder:
        url = sys.argv[2] if len(sys.argv) > 2 else f"sqlite:///{Path(folder) / 'ledger.db'}"
        with opened_engine(url) as engine:
            prepare_database(engine)
            seconds = drive(engine)
            shard_seconds, rows = seconds_per_shard(finished)
            ledger = sum(seconds.values())
            results: dict[str, Any] = {
                "database": engine.dialect.name,
                "shards": SHARDS,
                "ledger_seconds": {name: round(value, 3) for name, value in seconds.items()},
                "ledger_milliseconds_per_shard": round(1000 * ledger / SHARDS, 2),
                "records_per_shard": rows,
                "worker_seconds_per_shard": round(shard_seconds, 3),
                "ledger_share": round(ledger / SHARDS / shard_seconds, 4),
            }
    print(results)
    print(write_report(f"ledger_cost_{results['database']}", results))


def drive(engine: Engine, shards: int = SHARDS) -> dict[str, float]:
    """Take a job through all its states, one record a shard, and return the seconds of each duty."""
    load_book(engine, range(shards))
    add_model(engine)
    seconds = dict.fromkeys(("plan", "hint", "claim", "renew", "complete"), 0.0)

    def timed(duty: str, act: Callable[[], Any]) -> Any:
        begun = perf_counter()
        value = act()
        seconds[duty] += perf_counter() - begun
        return value

    job = get_job(engine, submit_job(engine, JobRequest(JobKind.SCORING, BOOK, "benchmark", {}, MODEL)))
    timed("plan", lambda: plan(engine, job))
    hinted: list[int] = []
    while hints := timed("hint", lambda: list_unhinted(engine, repeat_seconds=60, limit=200)):
        ids = [one.shard_id for one in hints]
        timed("hint", lambda ids=ids: mark_hinted(engine, ids))
        hinted += ids
    for shard_id in hinted:  # as the messages name them
        claim = timed(
            "claim", lambda one=shard_id: claim_shard(engine, "scoring", worker="w", lease_seconds=60, hint=one)
        )
        result = result_for(engine, claim)
        timed("renew", lambda claim=claim: renew_lease(engine, claim, lease_seconds=60))
        timed("complete", lambda claim=claim, result=result: complete_scored_shard(engine, claim, result, worker="w"))
    assert get_job(engine, job.id).scored == shards
    return seconds


def plan(engine: Engine, job: Any) -> None:
    """Cut the book and store the shards."""
    with reading(engine) as connection:
        ranges = plan_key_ranges(connection, job.definition.records, job.definition.key, shard_rows=1)
    with writing(engine) as connection:
        insert_shards(connection, job, ranges, inputs=len(ranges))


def seconds_per_shard(finished: Engine) -> tuple[float, int]:
    """Return a worker's seconds for a shard, by the event log, and the shard's records.

    A worker holds several shards at once, so its whole time in a job is divided by the shards that it finished.
    """
    with reading(finished) as connection:
        shards, scored = connection.execute(text(_SHARD_SECONDS)).one()
        rows = connection.execute(
            text(
                "SELECT e.job_id, e.who, e.event, e.at FROM tidemark_events e JOIN tidemark_jobs j ON j.id = e.job_id "
                "WHERE j.scored = :scored AND e.event IN ('shard.claimed', 'shard.done') ORDER BY e.id"
            ).columns(at=UtcDateTime()),
            {"scored": scored},
        ).all()
    works: dict[tuple[int, str], list[Any]] = {}
    for row in rows:
        works.setdefault((row.job_id, row.who), []).append(row)
    seconds = sum((work[-1].at - work[0].at).total_seconds() for work in works.values())
    return seconds / sum(row.event == "shard.done" for row in rows), scored // shards


if __name__ == "__main__":
    main()
