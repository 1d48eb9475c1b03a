"""How well records with events are scored, beside LightGBM and CatBoost on aggregates of the same events.

    python -m benchmarks.event_quality [--data ../shared/data] [--sets bpi_2012,cdnow,cmapss_fd001] [--seeds 3]

A set is a folder with `records.parquet` (record_id, cut_off, target, split, fields) and `events.parquet` (record_id,
at, type, values); a name with a slash is a folder of its own. The product gets the raw events and its defaults;
training and validation part are one book for it. The peers get our aggregates, once the usual ones and once the
families that LightGBM finds best on the validation part; they stop early on that part and are fitted again on both.
"""

import argparse
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from benchmarks.quality_figures import compare, figures_of
from benchmarks.quality_peers import peers
from benchmarks.report import write_report
from transformer.events.aggregation import make_aggregates
from transformer.events.candidates import list_candidates
from transformer.events.event_columns import EventColumns
from transformer.events.event_store import EventStore
from transformer.records.event_schema import Aggregate, EventTable, EventValue
from transformer.records.labelled_book import Book
from transformer.records.record_store import FrameStore
from transformer.records.schema import Field, RecordSchema
from transformer.training.model_training import TrainingOptions, train_model

SETS = "bpi_2012,cdnow,cmapss_fd001"
PEERS = ("LightGBM", "CatBoost")
OWN = {"record_id", "cut_off", "target", "split", "log_odds"}

Floats = NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sets", default=SETS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--result", default="event_quality", help="name of the file in benchmarks/results")
    options = parser.parse_args()
    results: dict[str, Any] = {}
    for name in options.sets.split(","):
        folder = Path(name) if "/" in name else options.data / name
        results[folder.name] = measure_set(folder, seeds=options.seeds)
        print(folder.name, results[folder.name], flush=True)
        write_report(options.result, results)


def measure_set(folder: Path, *, seeds: int) -> dict[str, Any]:
    """Return the test figures of the product, of the peers, and the paired differences."""
    data, schema, store = read_set(folder)
    is_test = (data["split"] == "test").to_numpy()
    truth = data["target"].to_numpy(np.float64)
    scored: list[Floats] = []
    runs: list[dict[str, Any]] = []
    for seed in range(1, seeds + 1):
        book = Book(store, truth, data["record_id"].astype(str).to_numpy(dtype=object), holdout=is_test)
        started = perf_counter()
        model = train_model(book, schema, options=TrainingOptions(seed=seed))
        scored.append(model.reference_probabilities)
        runs.append(
            {
                "seconds": round(perf_counter() - started, 1),
                "mixture": {name: round(share, 2) for name, share in model.strategy["mixture"].items()},
                "families": model.strategy["events"]["families"],
                "aggregates": len(model.strategy["events"]["aggregates"]),
                "order": model.strategy["events"]["order"],
            }
        )
    other = measure_peers(data, schema, store)
    mean = np.mean(scored, axis=0)
    figures = [figures_of(truth[is_test], one) for one in scored]
    return {
        "rows": {str(part): int(count) for part, count in data["split"].value_counts().items()},
        "tidemark": {name: round(float(np.mean([one[name] for one in figures])), 4) for name in figures[0]},
        "runs": runs,
        "peers": {name: round(float(roc_auc_score(truth[is_test], one)), 4) for name, one in other.items()},
        "tidemark_minus": {name: compare(truth[is_test], mean, one, scored) for name, one in other.items()},
    }


def read_set(folder: Path) -> tuple[pd.DataFrame, RecordSchema, EventStore]:
    """Return a set's records, its schema without aggregates, and the records with their events."""
    data, log = pd.read_parquet(folder / "records.parquet"), pd.read_parquet(folder / "events.parquet")
    fields = tuple(Field(str(name), _kind(data[name])) for name in data if name not in OWN)
    values = tuple(EventValue(str(name), _kind(log[name])) for name in log if name not in {"record_id", "at", "type"})
    table = EventTable("log", "type", values)
    moments = _microseconds(data["cut_off"])
    record = pd.Index(data["record_id"]).get_indexer(pd.Index(log["record_id"]))
    events = EventColumns.of(log, _microseconds(log["at"]), record, moments, table)
    own = FrameStore(data[[one.name for one in fields]])
    return data, RecordSchema(fields, (), (table,)), EventStore.of(own, moments, {"log": events})


def measure_peers(data: pd.DataFrame, schema: RecordSchema, store: EventStore) -> dict[str, Floats]:
    """Return the test probabilities of each peer on the usual aggregates, and on the best families."""
    events, (table,) = store.events["log"], schema.events
    learn = np.flatnonzero((data["split"] == "train").to_numpy())
    families = [list(one) for one in list_candidates(table, events.take(learn)).values()]
    grown = list(accumulate(families))
    fits = {name: fit for name, fit in peers() if name in PEERS}
    if not fits:
        return {}
    frames = [_with_aggregates(data, schema, events, aggregates) for aggregates in grown]
    best = max(frames, key=lambda one: _validate(next(iter(fits.values())), *one))
    return {
        f"{name}, {what}": fit(*frame)
        for name, fit in fits.items()
        for what, frame in (("usual", frames[0]), ("best", best))
    }


def _with_aggregates(
    data: pd.DataFrame, schema: RecordSchema, events: EventColumns, aggregates: list[Aggregate]
) -> tuple[pd.DataFrame, RecordSchema]:
    whole = schema.with_aggregates((replace(schema.events[0], aggregates=tuple(aggregates)),))
    return pd.concat([data, make_aggregates(events, aggregates)], axis=1), whole


def _validate(fit: Any, data: pd.DataFrame, schema: RecordSchema) -> float:
    """Return the ROC AUC on the validation part of a fit on four fifths of the training part, stopped by the rest."""
    part = data[data["split"] != "test"].reset_index(drop=True)
    random = np.random.default_rng(1).random(len(part))
    looked_at = np.where(part["split"] == "valid", "test", np.where(random < 0.2, "valid", "train"))
    return float(roc_auc_score(part["target"][part["split"] == "valid"], fit(part.assign(split=looked_at), schema)))


def _kind(column: "pd.Series[Any]") -> Any:
    return "numeric" if pd.api.types.is_numeric_dtype(column) else "categorical"


def _microseconds(times: "pd.Series[Any]") -> NDArray[np.int64]:
    return times.to_numpy().astype("datetime64[us]").astype(np.int64)


if __name__ == "__main__":
    main()
