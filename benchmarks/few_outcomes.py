"""How well a network that knows few outcomes orders the records of credit_cards, beside models of these records alone.

    python -m benchmarks.few_outcomes [--data ../shared/data] [--draws 10] [--shares 0.01,0.05]

Of the set's training records a share is drawn whose outcomes are known; the network also has the others, without
theirs. CatBoost and the scorecard learn from the same draws, which records without an outcome cannot help; so does
LightGBM where it is installed. All are judged by the set's test rows, which nothing is chosen by. A share's mean
difference to CatBoost comes with its standard error over the draws.
"""

import argparse
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from benchmarks.quality_peers import peers
from benchmarks.quality_sets import read_set
from benchmarks.report import write_report
from transformer.records.labelled_book import Book
from transformer.records.schema import RecordSchema
from transformer.training.model_training import TrainingOptions, train_model

PEERS = ("CatBoost", "LightGBM", "scorecard")
FIRST_DRAW = 1000  # seed of the first draw

Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--shares", default="0.01,0.05")
    options = parser.parse_args()
    data, schema = read_set(options.data, "credit_cards")
    results: dict[str, Any] = {"set": "credit_cards"}
    for share in (float(one) for one in options.shares.split(",")):
        rows: list[Row] = []
        for draw in range(options.draws):
            rows.append(measure_draw(data, schema, draw=draw, share=share))
            results[f"{share:g} of the outcomes"] = summarise(rows)
            print(share, rows[-1], flush=True)
            write_report("few_outcomes", results)
    print({name: one["mean"] for name, one in results.items() if isinstance(one, dict)})


def measure_draw(data: pd.DataFrame, schema: RecordSchema, *, draw: int, share: float) -> Row:
    """Return the ROC AUC of every model that knows one draw's outcomes, and what the network is made of."""
    is_test, outcome = (data["split"] == "test").to_numpy(), data["target"].to_numpy(np.float64)
    chosen = draw_known(data, draw=draw, share=share)
    known = np.where(is_test, outcome, np.nan)
    known[chosen] = outcome[chosen]
    keys = data["record_id"].astype(str).to_numpy(dtype=object)
    started = process_time()
    model = train_model(Book.of(data, known, keys, holdout=is_test), schema, options=TrainingOptions(seed=draw + 1))
    row: Row = {"network": round(model.metrics["roc_auc"], 4)}
    for name, fit in peers():
        if name in PEERS:
            row[name] = round(float(roc_auc_score(outcome[is_test], fit(data, schema, chosen))), 4)
    told = model.strategy
    return row | {
        "outcomes": len(chosen),
        "bad": int(outcome[chosen].sum()),
        "strategy": told["strategy"],
        "mixture": {name: round(one, 2) for name, one in told["mixture"].items()},
        "cross_validated": {name: round(one["roc_auc"], 4) for name, one in told["validation"].items()},
        "cpu_seconds": round(process_time() - started, 1),
    }


def draw_known(data: pd.DataFrame, *, draw: int, share: float) -> NDArray[np.int64]:
    """Return the rows whose outcomes are known."""
    learn = np.flatnonzero((data["split"] == "train").to_numpy())
    return np.random.default_rng(FIRST_DRAW + draw).permutation(learn)[: round(share * len(learn))]


def summarise(rows: list[Row]) -> dict[str, Any]:
    """Return the draws with the mean of each model, and of the network's difference to CatBoost."""
    names = [name for name in ("network", *PEERS) if name in rows[0]]
    mean = {name: round(float(np.mean([one[name] for one in rows])), 4) for name in names}
    summary: dict[str, Any] = {"draws": rows, "mean": mean}
    if "CatBoost" in names:
        ahead = np.array([one["network"] - one["CatBoost"] for one in rows])
        error = float(ahead.std(ddof=1) / np.sqrt(len(ahead))) if len(ahead) > 1 else float("nan")
        summary["network_minus_catboost"] = {"mean": round(float(ahead.mean()), 4), "error": round(error, 4)}
    return summary


if __name__ == "__main__":
    main()
