"""Records with 50 events each, in memory: aligned, made into aggregates and scored, on one core.

CPU seconds of one thread. Beside it stands what is usually done, the usual aggregates by pandas, a group at a time, and
an event Transformer under torch.compile, its inputs ready, at its best batch size.
"""

import json
import subprocess
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.site import Site
from benchmarks.timing import rates, ratio, time_alternating
from transformer.events.aggregation import add_event_fields
from transformer.events.event_columns import DAY, EventColumns
from transformer.events.event_network import EventNetwork, shapes_of
from transformer.events.event_store import EventStore
from transformer.events.event_tokens import TokenForm
from transformer.records.event_schema import EventTable, EventValue
from transformer.records.labelled_book import Book
from transformer.records.record_store import FrameStore
from transformer.records.schema import Field, RecordSchema
from transformer.scoring.scorer import Scorer
from transformer.training.model_training import TrainingOptions, train_model

ROWS, LEARNED, EVENTS = 10_000, 2_000, 50
KINDS = np.array(["cash", "food", "fuel", "games", "restaurant", "salary", "shop", "transfer"])
TABLE = EventTable("bookings", "kind", (EventValue("amount", "numeric"),))
SCHEMA = RecordSchema((Field("income", "numeric"),), (), (TABLE,))
START = 1_700_000_000_000_000


def measure(site: Site) -> dict[str, Any]:
    frame, log, at, record, moments = draw_log(ROWS)
    columns = EventColumns.of(log, at, record, moments, TABLE)
    random = np.random.default_rng(2)
    last_salary = pd.Series(at)[(log["kind"] == "salary").to_numpy()].groupby(record[log["kind"] == "salary"]).max()
    is_late = (last_salary.reindex(range(ROWS)).fillna(START) < START + 150 * DAY).to_numpy()
    target = (random.random(ROWS) < np.where(is_late, 0.6, 0.2)).astype(np.float64)
    learned = np.arange(LEARNED)
    book = Book(
        EventStore.of(FrameStore(frame), moments, {TABLE.name: columns}).part(learned),
        target[learned],
        learned.astype(str).astype(object),
    )
    model = train_model(book, SCHEMA, options=TrainingOptions(seed=1))
    scorer = Scorer(model, "events")
    tables = model.schema.events

    def align() -> EventColumns:
        return EventColumns.of(log, at, record, moments, TABLE)

    def aggregate() -> pd.DataFrame:
        return add_event_fields(frame, tables, {TABLE.name: columns})

    whole, network = aggregate(), _draw_network(columns)
    acts: dict[str, Any] = {
        "all of it": lambda: scorer.score(add_event_fields(frame, tables, {TABLE.name: align()})),
        "aligned": align,
        "aggregates": aggregate,
        "scored": lambda: scorer.score(whole),
        "network of events, where one is taken": lambda: network.logits(columns),
        "usual aggregates by pandas": lambda: aggregate_by_pandas(log, at, record),
    }
    seconds = time_alternating(acts, runs=site.runs, cpu=True)
    return {
        "events": EVENTS,
        "aggregates": len(tables[0].aggregates),
        "rates": rates(seconds, ROWS),
        "all of it against the usual aggregates by pandas alone": ratio(
            seconds["all of it"], seconds["usual aggregates by pandas"]
        ),
        **_transformer(site, log, at, record, seconds["all of it"]),
    }


def _draw_network(columns: EventColumns) -> EventNetwork:
    """Return a network of events as a training makes them, of random weights: order says nothing in this book."""
    form, random = TokenForm.fit(TABLE, columns), np.random.default_rng(3)
    return EventNetwork(form, {n: random.normal(0, 0.2, one).astype(np.float32) for n, one in shapes_of(form).items()})


def _transformer(
    site: Site, log: pd.DataFrame, at: NDArray[np.int64], record: NDArray[np.int64], ours: list[float]
) -> dict[str, Any]:
    path = site.home / "events.parquet"
    kinds = pd.factorize(log["kind"])[0]
    pd.DataFrame({"record": record, "at": at, "kind": kinds, "amount": log["amount"]}).to_parquet(path)
    command = [site.peers_python, "-m", "benchmarks.peers.scoring", "events", str(path), str(site.runs)]
    command += ["--quick"] if site.quick else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        return {"torch": f"not measured: {said[-1] if said else done.returncode}"}
    seconds = json.loads(done.stdout.splitlines()[-1])
    best = min(seconds, key=lambda name: np.median(seconds[name]))
    return {
        "peers": rates(seconds, ROWS),
        f"all of it against {best} (its best)": ratio(ours, seconds[best]),
    }


def draw_log(
    records: int,
) -> tuple[pd.DataFrame, pd.DataFrame, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return records, and events of 180 days with their times and records, in the order of a range that was read."""
    random = np.random.default_rng(1)
    count = records * EVENTS
    at = np.sort(START + random.integers(0, 180 * DAY, (records, EVENTS)), axis=1).ravel().astype(np.int64)
    log = pd.DataFrame(
        {
            "kind": pd.Series(KINDS[random.integers(0, len(KINDS), count)], dtype="str"),
            "amount": random.lognormal(3.5, 1, count),
        }
    )
    frame = pd.DataFrame({"income": random.normal(0, 1, records)})
    record = np.repeat(np.arange(records, dtype=np.int64), EVENTS)
    return frame, log, at, record, np.full(records, START + 180 * DAY, dtype=np.int64)


def aggregate_by_pandas(log: pd.DataFrame, at: NDArray[np.int64], record: NDArray[np.int64]) -> pd.DataFrame:
    """Return counts by kind, five figures of the amount, and first and last time of each record."""
    groups = log.assign(at=at, record=record).groupby("record")
    counts = pd.crosstab(record, log["kind"])
    figures = groups["amount"].agg(["last", "mean", "min", "max", "std", "sum"])
    return pd.concat([counts, figures, groups["at"].agg(["first", "last"])], axis=1)
