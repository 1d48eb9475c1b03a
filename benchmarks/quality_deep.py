"""The network beside deep models for tables by their authors' packages, which take minutes to hours on a set."""

from collections.abc import Iterator
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.quality_figures import compare, figures_of
from benchmarks.quality_peers import deep_peers
from transformer.records.labelled_book import Book
from transformer.records.schema import RecordSchema
from transformer.training.model_training import TrainingOptions, train_model


def measure_deep(data: pd.DataFrame, schema: RecordSchema) -> Iterator[dict[str, Any]]:
    """Give the figures on the test rows after each model: the network of seed 1, then each deep model.

    Each holds the seconds that it took to fit, and of a deep model the network's paired difference to it.
    """
    is_test, truth = (data["split"] == "test").to_numpy(), data["target"].to_numpy(np.float64)
    keys, started = data["record_id"].astype(str).to_numpy(dtype=object), perf_counter()
    network = train_model(Book.of(data, truth, keys, holdout=is_test), schema, options=TrainingOptions(seed=1))
    own, truth_of_test = network.reference_probabilities, truth[is_test]
    results: dict[str, Any] = {"test_rows": int(is_test.sum())}
    results["network"] = _told(figures_of(truth_of_test, own), started)
    yield dict(results)
    for model, fit in deep_peers():
        started = perf_counter()
        probabilities = fit(data, schema)
        results[model] = _told(figures_of(truth_of_test, probabilities), started)
        results[model]["network_minus"] = compare(truth_of_test, own, probabilities, [own])
        yield dict(results)


def _told(figures: dict[str, float], started: float) -> dict[str, Any]:
    return {key: round(value, 5) for key, value in figures.items()} | {"seconds": round(perf_counter() - started)}
