"""A small book of customers with bookings, drawn from a seed, and what a worker does with it in this process."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Engine, select

from db.connections.engine import reading
from db.ledger.job_lifecycle import Job, get_job
from db.portfolios.catalog import save_portfolio
from db.portfolios.definition import EventsDefinition, FieldDefinition, FieldKind, PortfolioDefinition
from db.results.exports import read_rejects, read_scores
from db.schema.core_tables import shards
from db.sources.event_loading import EventLoad, EventLoadMode, load_events
from db.sources.event_times import as_microseconds
from db.sources.loading import load_records
from scheduler.loop.shard_planning import plan_queued_jobs
from scheduler.requests.job_submission import Request, submit_scoring, submit_training
from worker.runtime.context import WorkerContext
from worker.runtime.settings import WorkerSettings
from worker.scoring.model_cache import ModelSlot
from worker.scoring.shard_scoring import score_next_shard
from worker.training.next_job import train_next_job

BOOK, TABLE = "customers", "bookings"
RECORDS, EACH = 400, 8
QUICK = {"quick": True, "seed": 3, "trees": False}
EVENTS = EventsDefinition(TABLE, TABLE, "id", "at", type="kind", fields=(FieldDefinition("amount", FieldKind.NUMERIC),))

Event = Mapping[str, Any]  # with id, at (a datetime), kind and amount


def definition(**changes: Any) -> PortfolioDefinition:
    """The portfolio: one number of the record, and its bookings up to the moment `cut_off`."""
    fields = (FieldDefinition("income", FieldKind.NUMERIC),)
    values: dict[str, Any] = {"name": BOOK, "title": "Customers", "source": BOOK, "key": "id", "target": "bad"}
    values |= {"fields": fields, "events": (EVENTS,), "moment": "cut_off"}
    return PortfolioDefinition(**(values | changes))


def moment_of(key: int) -> datetime:
    """When a record is judged; no two records of one week at the same time."""
    return datetime(2026, 10, 1 + key % 7, 12, 0, 0, 1 + key)  # noqa: DTZ001 - a column without a zone


def draw_book(records: int = RECORDS) -> tuple[pd.DataFrame, list[Event]]:
    """Return the records as a data file's reader gives them, and their events, whose cash makes the outcome."""
    random = np.random.default_rng(11)
    is_bad = random.random(records) < 0.4
    events: list[Event] = []
    for key in range(1, records + 1):
        share = 0.5 if is_bad[key - 1] else 0.2
        for _ in range(EACH):
            kind = "cash" if random.random() < share else str(random.choice(["food", "salary"]))
            at = moment_of(key) - timedelta(days=float(random.uniform(0.5, 90)))
            events.append({"id": key, "at": at, "kind": kind, "amount": round(float(random.normal(50, 9)), 2)})
    keys = range(1, records + 1)
    frame = pd.DataFrame(
        {
            "id": pd.Series(list(keys), dtype="object"),
            "bad": is_bad.astype(float),
            "cut_off": pd.Series([moment_of(key).isoformat() for key in keys], dtype="object"),
            "income": random.normal(2000, 300, records).round(),
            "tidemark_unreadable": pd.Series([None] * records, dtype="object"),
        }
    )
    return frame, events


def fill(engine: Engine, frame: pd.DataFrame, events: Sequence[Event], **changes: Any) -> None:
    """Save the portfolio and load its records and events."""
    save_portfolio(engine, definition(**changes), who="test")
    load_records(engine, definition(**changes), [frame], key_type="integer", who="test")
    add_events(engine, events)


def add_events(engine: Engine, events: Sequence[Event], mode: EventLoadMode = EventLoadMode.APPEND) -> None:
    """Load events, beside those that are there or in place of all."""
    frame = pd.DataFrame(
        {
            "id": pd.Series([one["id"] for one in events], dtype="object"),
            "at": pd.Series([as_microseconds(one["at"]) for one in events], dtype="int64"),
            "kind": pd.Series([one["kind"] for one in events], dtype="object"),
            "amount": pd.Series([one["amount"] for one in events], dtype="float64"),
        }
    )
    load_events(engine, EventLoad(definition(), EVENTS, "integer", mode=mode, who="test"), [frame])


def worker(engine: Engine, home: Path) -> WorkerContext:
    """A worker of this process; a shard that fails is tried once more, at once."""
    return WorkerContext(engine, WorkerSettings(home=home, max_attempts=2, retry_delay_seconds=0), "w1")


def start_training(context: WorkerContext, **options: Any) -> int:
    """Submit and plan a training."""
    job_id = submit_training(context.engine, BOOK, Request("test"), options=QUICK | options)
    plan_queued_jobs(context.engine)
    return job_id


def train(context: WorkerContext, **options: Any) -> Job:
    """Train and return the job, whatever came of it."""
    job_id = start_training(context, **options)
    assert train_next_job(context, _shard_of(context.engine, job_id))
    return get_job(context.engine, job_id)


def _shard_of(engine: Engine, job_id: int) -> int:
    """A quick training submits the full one, which is not to be begun in its place."""
    with reading(engine) as connection:
        return connection.execute(select(shards.c.id).where(shards.c.job_id == job_id)).scalar_one()


def start_night(context: WorkerContext, *, shard_rows: int = 100, **request: Any) -> int:
    """Submit and plan the scoring of the whole book."""
    job_id = submit_scoring(context.engine, BOOK, Request("test"), **request)
    plan_queued_jobs(context.engine, shard_rows=shard_rows)
    return job_id


def work_on(context: WorkerContext, job_id: int) -> Job:
    """Score shards until none waits; return the job."""
    slot = ModelSlot(context.engine, context.settings.bundles_url)
    while score_next_shard(context, slot):
        pass
    return get_job(context.engine, job_id)


def score(context: WorkerContext, *, shard_rows: int = 100, **request: Any) -> Job:
    """Score the whole book and return the job."""
    return work_on(context, start_night(context, shard_rows=shard_rows, **request))


def scores_of(engine: Engine, job: Job) -> dict[str, float]:
    """The probability of each record."""
    frames = list(read_scores(engine, job.id))
    together = pd.concat(frames, ignore_index=True)
    return dict(zip(together["record_key"], together["probability"], strict=True))


def rejects_of(engine: Engine, job: Job) -> list[dict[str, Any]]:
    """The rejects of a job."""
    frames = read_rejects(engine, job.id)
    return [{str(name): value for name, value in one.items()} for frame in frames for one in frame.to_dict("records")]


def request_of(frame: pd.DataFrame, events: Sequence[Event]) -> list[dict[str, Any]]:
    """The records with their events and moments as a request brings them, in the order of the frame."""
    own: dict[int, list[dict[str, Any]]] = {key: [] for key in frame["id"]}
    for one in events:
        own[one["id"]].append({"at": one["at"].isoformat(), "kind": one["kind"], "amount": one["amount"]})
    columns = frame[["id", "cut_off", "income"]].to_dict("records")
    return [{str(name): one[name] for name in one} | {"events": {TABLE: own[one["id"]]}} for one in columns]


def late_events(frame: pd.DataFrame, *, microseconds: int) -> list[Event]:
    """A large booking of cash for each record, so long after its moment."""
    later = timedelta(microseconds=microseconds)
    return [{"id": key, "at": moment_of(key) + later, "kind": "cash", "amount": 9_000.0} for key in frame["id"]]
