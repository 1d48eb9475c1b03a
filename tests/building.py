"""Builds small portfolios, records and jobs for tests, through the same functions that the program uses."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from sqlalchemy import Engine

from db.connections.engine import reading, writing
from db.ledger.job_lifecycle import Job, JobRequest, get_job, submit_job
from db.ledger.shard_leases import Claim, claim_shard, insert_shards
from db.portfolios.catalog import save_portfolio
from db.portfolios.definition import FieldDefinition, FieldKind, PortfolioDefinition
from db.registry.champions import Decision, decide
from db.registry.versions import register_model
from db.results.shard_results import Reject, ShardResult
from db.schema.states import JobKind
from db.sources.loading import LoadOutcome, load_records
from db.sources.source_table import RECORD_KEY, plan_key_ranges, read_range

BOOK = "book"
MODEL = "m1"
COLUMNS = ("amount", "colour")


def book_definition(**changes: Any) -> PortfolioDefinition:
    """A portfolio with one number and one name."""
    fields = (FieldDefinition("amount", FieldKind.NUMERIC), FieldDefinition("colour", FieldKind.CATEGORICAL))
    values: dict[str, Any] = {"name": BOOK, "title": "A book", "source": BOOK, "key": "id", "target": "bad"}
    return PortfolioDefinition(**(values | {"fields": fields} | changes))


def book_frame(keys: Sequence[Any]) -> pd.DataFrame:
    """Records with these keys, as a data file's reader gives them."""
    count = len(keys)
    return pd.DataFrame(
        {
            "id": pd.Series(list(keys), dtype="object"),
            "bad": [float(row % 5 == 0) for row in range(count)],
            "amount": [float(row) for row in range(count)],
            "colour": pd.Series(["red", "blue"][row % 2] for row in range(count)),
            "tidemark_unreadable": pd.Series([None] * count, dtype="object"),
        }
    )


def load_book(engine: Engine, keys: Sequence[Any], *, key_type: str = "integer", **changes: Any) -> LoadOutcome:
    """Save the portfolio and load records with these keys."""
    definition = book_definition(**changes)
    save_portfolio(engine, definition, who="test")
    return load_records(engine, definition, [book_frame(keys)], key_type=key_type, who="test")


def add_model(engine: Engine, version: str = MODEL, *, champion: bool = True, **counted: Any) -> None:
    """Register a model version for the book, without a bundle."""
    definition = book_definition()
    reference = {"points": {"500": 300, "520": 300}, "unscorable": 0} | counted
    with writing(engine) as connection:
        register_model(connection, version=version, job_id=None, definition=definition, metrics={}, reference=reference)
        if champion:
            decision = Decision(
                BOOK, version, None, promoted=True, reason="test", figures={}, decided_by="test", job_id=None
            )
            decide(connection, decision, champion_before=None)


def start_scoring(
    engine: Engine, *, shard_rows: int = 10, options: dict[str, Any] | None = None, **request: Any
) -> Job:
    """Submit and plan a scoring job for the book."""
    asked = JobRequest(JobKind.SCORING, BOOK, "test", options or {}, **({"model_version": MODEL} | request))
    job_id = submit_job(engine, asked)
    job = get_job(engine, job_id)
    with reading(engine) as connection:
        ranges = plan_key_ranges(connection, job.definition.records, job.definition.key, shard_rows=shard_rows)
    with writing(engine) as connection:
        insert_shards(connection, job, ranges, inputs=sum(one.expected for one in ranges))
    return get_job(engine, job_id)


def claim(engine: Engine, worker: str = "w1", *, hint: int | None = None, lease_seconds: float = 60) -> Claim:
    """Claim a scoring shard that must be there."""
    claimed = claim_shard(engine, "scoring", worker=worker, lease_seconds=lease_seconds, hint=hint)
    assert claimed is not None
    return claimed


def result_for(engine: Engine, claimed: Claim, *, rejected: int = 0) -> ShardResult:
    """A result for every record of a claimed shard: the first `rejected` are rejects, the others have a score."""
    definition = claimed.job.definition
    frame = read_range(engine, definition.records, definition.key, COLUMNS, claimed.key_range)
    keys = frame[RECORD_KEY].tolist()
    rejected = min(rejected, len(keys))
    scored = keys[rejected:]
    rejects = [Reject(row, keys[row], "amount", "not_a_number", "expected a number") for row in range(rejected)]
    count = len(scored)
    histogram = {"500": count} if count else {}
    return ShardResult(scored, [0.25] * count, [500] * count, ["D"] * count, rejects, histogram, "1", "2")
