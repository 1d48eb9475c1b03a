"""A book with a finished scoring job."""

from sqlalchemy import Engine

from db.results.shard_results import complete_scored_shard
from tests.building import add_model, claim, load_book, result_for, start_scoring

RECORDS, REJECTED = 25, 3


def scored_book(engine: Engine) -> int:
    """Score the book of 25 records, 3 of them rejected, and return the job's id."""
    load_book(engine, list(range(1, RECORDS + 1)), reject_budget=1.0)
    add_model(engine)
    job = start_scoring(engine)
    for first in (REJECTED, 0, 0):
        claimed = claim(engine)
        complete_scored_shard(engine, claimed, result_for(engine, claimed, rejected=first), worker="w1")
    return job.id
