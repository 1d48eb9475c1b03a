"""Whether the reasons of records with events are right: how often masking the first moves the score more than another.

    python -m benchmarks.event_reasons [--data ../shared/data] [--sets bpi_2012,cdnow,cmapss_fd001]

Sets are those of `event_quality`, the question is that of `reason_quality`, on test records that the model has not
seen. What is masked is one field or one aggregate of events.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.event_quality import SETS, read_set
from benchmarks.reason_quality import measure_reasons
from benchmarks.report import write_report
from transformer.records.labelled_book import Book
from transformer.training.model_training import train_model
from transformer.training.reason_fitting import ExplanationOptions
from worker.training.model_description import explain


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sets", default=SETS)
    options = parser.parse_args()
    results: dict[str, Any] = {}
    for name in options.sets.split(","):
        folder = Path(name) if "/" in name else options.data / name
        results[folder.name] = measure_set(folder)
        print(folder.name, results[folder.name], flush=True)
        write_report("event_reasons", results)


def measure_set(folder: Path) -> dict[str, Any]:
    """Train as `tidemark train` does, and measure the reasons on the test part."""
    data, schema, store = read_set(folder)
    is_test, truth = (data["split"] == "test").to_numpy(), data["target"].to_numpy(np.float64)
    keys = data["record_id"].astype(str).to_numpy(dtype=object)
    book = Book(store, np.where(is_test, np.nan, truth), keys)
    model = train_model(book, schema)
    book = book.reading(model.schema)
    explainer = explain(model, book, ExplanationOptions(), on_batch=lambda: None)
    test = book.records.take(np.flatnonzero(is_test), model.schema.columns)
    measured = measure_reasons(model, explainer, test, 0, 0)
    return {"fields": len(model.schema.columns), "of events": len(model.schema.event_fields)} | measured


if __name__ == "__main__":
    main()
