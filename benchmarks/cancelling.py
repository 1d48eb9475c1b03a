"""How soon a running job tells its progress, and how soon its workers are free after it was cancelled."""

from dataclasses import replace
from statistics import median
from time import perf_counter
from typing import Any

from sqlalchemy import text

from benchmarks.site import Site
from db.connections.engine import writing
from db.ledger.job_lifecycle import cancel_job, get_job
from db.ledger.shard_leases import count_shards
from db.operations.write_health import get_job_as_it_stands
from db.portfolios.catalog import save_portfolio
from db.schema.states import JobState
from scheduler.requests.job_submission import Request, submit_scoring
from tests.waiting import wait_for

SMALL = 1000
LOOKS = 10
SECONDS = 120.0  # until something must have happened


def look_at_first_records(site: Site, records: int = SMALL) -> None:
    """Let the portfolio look at a view of the first records of the book, for jobs that are submitted from now on."""
    key, source, view = site.definition.key, site.definition.source, f"first_{records}"
    with writing(site.engine) as connection:
        statement = f'CREATE OR REPLACE VIEW {view} AS SELECT * FROM "{source}" WHERE "{key}" <= {records}'  # noqa: S608
        connection.execute(text(statement))
    save_portfolio(site.engine, replace(site.definition, source=view), who="benchmark")


def cancel_running_jobs(site: Site) -> dict[str, Any]:
    """Cancel jobs of the book in mid-job, a small one behind each: medians over the runs.

    Milliseconds for the job's row and its shards by state, for cancelling; seconds from there to the small job's end.
    """
    request, name = Request("benchmark"), site.definition.name
    looking, cancelling, next_done = [], [], []
    for _ in range(site.runs):
        job_id = submit_scoring(site.engine, name, request)
        wait_for(lambda job_id=job_id: count_shards(site.engine, job_id).get("running"), SECONDS, "the first claim")
        look_at_first_records(site)
        looking += [_seconds_of_a_look(site, job_id) for _ in range(LOOKS)]
        begun = perf_counter()
        cancelled = cancel_job(site.engine, job_id, who="benchmark")
        cancelling.append(perf_counter() - begun)
        small_id = submit_scoring(site.engine, name, request)
        wait_for(lambda job_id=small_id: get_job(site.engine, job_id).state is JobState.DONE, SECONDS, "the small job")
        save_portfolio(site.engine, site.definition, who="benchmark")
        ended, small_ended = cancelled.finished_at, get_job(site.engine, small_id).finished_at
        assert ended is not None
        assert small_ended is not None
        next_done.append((small_ended - ended).total_seconds())
    return {
        "milliseconds of a look at its progress": round(1000 * median(looking), 1),
        "milliseconds of cancelling it": round(1000 * median(cancelling), 1),
        f"seconds from there to the end of the next job, of {SMALL} records": round(median(next_done), 2),
        "the longest of them": round(max(next_done), 2),
        "runs": site.runs,
    }


def _seconds_of_a_look(site: Site, job_id: int) -> float:
    begun = perf_counter()
    get_job_as_it_stands(site.engine, job_id)
    count_shards(site.engine, job_id)
    return perf_counter() - begun
