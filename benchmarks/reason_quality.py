"""Whether the reasons are right, what they cost, and how long training with everything takes, on credit_cards.

    python -m benchmarks.reason_quality [--data ../shared/data] [--records 200] [--orders 200]

A model is trained as `tidemark train` does. On test rows, which it has not seen: how often masking the first reason
moves the score by more than masking another field, drawn at random; and how well the effects that the reasons are
chosen by agree with Shapley values of `--orders` antithetic orders of the fields, on `--records` records.
"""

import argparse
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr

from benchmarks.report import write_report
from benchmarks.site import PORTFOLIO
from scheduler.portfolio_files.reader import parse_portfolio
from transformer.bundles.trained_model import TrainedModel
from transformer.evaluation.model_card import HeldOut, write_card
from transformer.network.compiled_network import CompiledNetwork
from transformer.reasons.explainer import Explainer, choose_reasons
from transformer.reasons.masking import Flat, Masking, flatten, masking_effects, shapley_values
from transformer.records.column_reading import read_columns
from transformer.records.features import Inputs
from transformer.records.labelled_book import Book
from transformer.scoring.scorer import Scorer
from transformer.training.model_training import train_model
from transformer.training.reason_fitting import ExplanationOptions
from worker.runtime.portfolio_mapping import schema_of
from worker.training.model_description import explain, facts_of
from worker.training.reference_freezing import freeze

MASKED_RECORDS, RUNS = 4000, 7

Floats = NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--records", type=int, default=200)
    parser.add_argument("--orders", type=int, default=200)
    options = parser.parse_args()
    definition = parse_portfolio(PORTFOLIO.read_text(), str(PORTFOLIO))
    data = pd.read_parquet(options.data / "credit_cards" / "data.parquet")
    is_test, target = (data["split"] == "test").to_numpy(), data["target"].to_numpy(np.float64)
    keys = data["record_id"].astype(str).to_numpy(dtype=object)
    book = Book.of(data[list(definition.input_columns)], np.where(is_test, np.nan, target), keys)
    seconds: dict[str, float] = {}
    began = perf_counter()
    model = train_model(book, schema_of(definition))
    seconds["training"], began = perf_counter() - began, perf_counter()
    explainer = explain(model, book, ExplanationOptions(kind=definition.reasons_reference), on_batch=lambda: None)
    seconds["reasons"], began = perf_counter() - began, perf_counter()
    rows = pd.Index(keys).get_indexer(pd.Index(model.holdout_keys))
    held_out = HeldOut(book.records.take(rows), target[rows], model.reference_probabilities)
    write_card(facts_of(model, book, definition, None), held_out, explainer)
    seconds["card"], began = perf_counter() - began, perf_counter()
    freeze(model, book, definition)
    seconds["reference and canary"] = perf_counter() - began
    test = data.loc[is_test, list(definition.input_columns)].reset_index(drop=True)
    results = {
        "seconds": {name: round(one, 1) for name, one in seconds.items()} | {"sum": round(sum(seconds.values()), 1)},
        **measure_reasons(model, explainer, test, options.records, options.orders),
        "cost": measure_cost(model, explainer, test),
    }
    print(results)
    print(write_report("reason_quality", results))


def measure_reasons(
    model: TrainedModel, explainer: Explainer, test: pd.DataFrame, records: int, orders: int
) -> dict[str, Any]:
    """Return the shares of both questions, on logits of the network itself; without `records` of the first alone."""
    arrays, _ = read_columns(test, model.schema)
    inputs = model.transform.transform(arrays)
    flat = flatten(inputs)
    masking = Masking.find(model.transform, explainer.reference, test)
    compiled = CompiledNetwork.of(model.network, model.transform)
    assert compiled is not None, "the default network has a compiled form"

    def predict(some: Inputs) -> Floats:
        return model.calibration.slope * compiled.run(some)[0]

    told = _effects_by_head(model, explainer, flat, inputs)
    chosen = np.asarray(choose_reasons(told))[:MASKED_RECORDS]
    alone = masking_effects(masking, flat[:MASKED_RECORDS], predict)
    random = np.random.default_rng(1)
    found: dict[str, Any] = {
        "records": len(chosen),
        "with a reason": round(float((chosen[:, 0] >= 0).mean()), 4),
        "masking": _masking_shares(chosen[:, 0], alone, random),
    }
    if records:
        fair = shapley_values(masking, flat[:records], predict, permutations=orders, random=random)
        found["against Shapley values"] = _agreement(told[:records, :, 1], chosen[:records], fair)
    return found


def _effects_by_head(model: TrainedModel, explainer: Explainer, flat: Flat, inputs: Inputs) -> Floats:
    representation = CompiledNetwork.of(model.network, model.transform).run(inputs)[1]
    head = explainer.build_head(representation.shape[1])
    return np.asarray(head(flat, representation), dtype=np.float64)


def _masking_shares(first: NDArray[Any], alone: Floats, random: np.random.Generator) -> dict[str, float]:
    """How often the first reason moves the score more than another field, and than it moves it down."""
    rows = np.flatnonzero(first >= 0)
    others = (first[rows] + random.integers(1, alone.shape[1], len(rows))) % alone.shape[1]
    mine, theirs = alone[rows, first[rows]], alone[rows, others]
    return {
        "moves the score by more than a random field": round(float((np.abs(mine) > np.abs(theirs)).mean()), 4),
        "moves it towards the bad event": round(float((mine > 0).mean()), 4),
        "is among the three that move it most towards it": round(
            float((np.argsort(-alone[rows], axis=1)[:, :3] == first[rows, None]).any(axis=1).mean()), 4
        ),
    }


def _agreement(told: Floats, chosen: NDArray[Any], fair: Floats) -> dict[str, float]:
    has_reason = chosen[:, 0] >= 0
    top = np.argsort(-fair, axis=1)
    first = (chosen[:, 0] == top[:, 0])[has_reason]
    in_three = (chosen[:, :1] == top[:, :3]).any(axis=1)[has_reason]
    ranks = [float(spearmanr(mine, exact).statistic) for mine, exact in zip(told, fair, strict=True)]
    return {
        "records": len(fair),
        "correlation of all effects": round(float(np.corrcoef(told.ravel(), fair.ravel())[0, 1]), 4),
        "rank correlation in a record, median": round(float(np.median(ranks)), 4),
        "first reason is the first by Shapley value": round(float(first.mean()), 4),
        "first reason is among the first three": round(float(in_three.mean()), 4),
    }


def measure_cost(model: TrainedModel, explainer: Explainer, test: pd.DataFrame) -> dict[str, Any]:
    """Return records per second with and without reasons, from a frame to scores, one process."""
    scorer = Scorer(model, "benchmark", explainer=explainer)
    many = pd.concat([test] * 4, ignore_index=True)
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for run in range(RUNS + 1):
        for with_reasons in (True, False):
            began = perf_counter()
            scorer.score(many, with_reasons=with_reasons)
            if run:
                seconds[with_reasons].append(perf_counter() - began)
    rates = {name: len(many) / float(np.median(seconds[key])) for name, key in (("with", True), ("without", False))}
    return {name: round(rate) for name, rate in rates.items()} | {"ratio": round(rates["with"] / rates["without"], 3)}


if __name__ == "__main__":
    main()
