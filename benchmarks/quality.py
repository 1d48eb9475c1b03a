"""How well the network orders the records of the public sets, beside trees, deep models and a scorecard.

    python -m benchmarks.quality [--data ../shared/data] [--seeds 3] [--sets NAME,NAME] [--splits NUMBER]
    python -m benchmarks.quality --alone [--seeds 1] [--sets NAME,NAME]
    python -m benchmarks.quality --deep [--sets NAME,NAME] [--splits NUMBER]

Every model learns from a set's own training and validation rows and is judged by its test rows. The network chooses
its validation rows, its strategy and its mixture itself, and is trained once more without trees; the others stop
early on the set's validation rows and are fitted again on both. LightGBM, XGBoost and CatBoost take part where
installed; FT-Transformer and TabM are slow: `--deep` measures them beside the network of seed 1 (`pip install
.[bench]`). Differences to the best tree model come with a 95 % interval of 500 paired bootstrap draws of the test
rows. Sets in time order are trained with their dates as `as_of`. `--alone` measures the network alone, beside the
peers' stored figures. `--splits` draws the three parts anew so often, for sets too small for one split. Each set has
its own file of results. `benchmarks.few_outcomes` is for books with few outcomes.
"""

import argparse
import json
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from benchmarks.quality_deep import measure_deep
from benchmarks.quality_figures import compare, figures_of
from benchmarks.quality_peers import peers
from benchmarks.quality_sets import SETS, read_dates, read_set
from benchmarks.report import RESULTS, write_report
from transformer.records.labelled_book import Book
from transformer.records.schema import RecordSchema
from transformer.training.model_training import TrainingOptions, train_model

TREES = ("LightGBM", "XGBoost", "CatBoost")

Floats = NDArray[np.float64]
Objects = NDArray[np.object_]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--splits", type=int, default=0, help="draw the three parts anew so often")
    parser.add_argument("--alone", action="store_true", help="the network alone, beside the peers' stored figures")
    parser.add_argument("--deep", action="store_true", help="FT-Transformer and TabM beside the network")
    options = parser.parse_args()
    for name in options.sets.split(","):
        data, schema = read_set(options.data, name)
        if options.splits:
            print(measure_splits(name, data, schema, splits=options.splits, deep=options.deep), flush=True)
            continue
        if options.deep:
            for results in measure_deep(data, schema):
                print(
                    {"set": name} | results, write_report(f"quality_deep_{name}", {"set": name} | results), flush=True
                )
            continue
        dates = read_dates(options.data, name)
        if options.alone:
            print(measure_alone(name, data, schema, seeds=options.seeds, dates=dates), flush=True)
            continue
        results = {"set": name} | measure(data, schema, seeds=options.seeds, dates=dates)
        print(results, write_report(f"quality_{name}", results), flush=True)


def measure_alone(
    name: str, data: pd.DataFrame, schema: RecordSchema, *, seeds: int, dates: Objects | None
) -> dict[str, Any]:
    """Return the network's mean figures over seeds, those of each branch, and the peers' figures of the last run."""
    is_test, outcome = (data["split"] == "test").to_numpy(), data["target"].to_numpy(np.float64)
    keys = data["record_id"].astype(str).to_numpy(dtype=object)
    book, figures, wall = Book.of(data, outcome, keys, holdout=is_test, as_of=dates), list[dict[str, float]](), []
    strategy: dict[str, Any] = {}
    for seed in range(1, seeds + 1):
        started = perf_counter()
        model = train_model(book, schema, options=TrainingOptions(seed=seed))
        wall.append(perf_counter() - started)
        slope = {"calibration_slope": model.metrics["calibration_slope"]}
        figures.append(figures_of(outcome[is_test], model.reference_probabilities) | slope)
        strategy = model.strategy
    network = _mean(figures) | {"seconds": round(float(np.mean(wall)), 1)}
    results = {"set": name, "seeds": seeds, "network": network} | _branches(strategy)
    write_report(f"quality_alone_{name}", results)
    stored = RESULTS / f"quality_{name}.json"
    kept = json.loads(stored.read_text()) if stored.exists() else {"results": {}}
    peers_then = {one: figures for one, figures in kept["results"].items() if one in (*TREES, "scorecard")}
    return results | {"peers": peers_then, "peers_measured_at": kept.get("commit")}


def _branches(strategy: dict[str, Any]) -> dict[str, Any]:
    """Return what each branch is by itself on rows that it has not learnt from, and its share."""
    return {"mixture": strategy["mixture"], "branches": strategy["validation"]}


def measure(data: pd.DataFrame, schema: RecordSchema, *, seeds: int, dates: Objects | None = None) -> dict[str, Any]:
    """Return figures on the test rows: of the network the mean over seeds, of each peer, and paired differences."""
    is_test, outcome = (data["split"] == "test").to_numpy(), data["target"].to_numpy(np.float64)
    scored, seconds, slopes, strategy = [], [], [], {}
    keys = data["record_id"].astype(str).to_numpy(dtype=object)
    book = Book.of(data, outcome, keys, holdout=is_test, as_of=dates)
    without: list[Floats] = []
    for seed in range(1, seeds + 1):
        started = process_time()
        model = train_model(book, schema, options=TrainingOptions(seed=seed))
        seconds.append(process_time() - started)
        scored.append(model.reference_probabilities)
        slopes.append(model.metrics["calibration_slope"])
        strategy = model.strategy
        alone = train_model(book, schema, options=TrainingOptions(seed=seed, trees=False))
        without.append(alone.reference_probabilities)
    order = np.flatnonzero(is_test)
    truth = outcome[order]
    figures = [figures_of(truth, one) for one in scored]
    network: dict[str, Any] = _mean(figures)
    network |= {"calibration_slope": round(float(np.mean(slopes)), 3), "cpu_seconds": round(float(np.mean(seconds)), 1)}
    told: dict[str, Any] = {"test_rows": len(order), "seeds": seeds, "network": network} | _branches(strategy)
    told["without trees"] = _mean([figures_of(truth, one) for one in without])
    told["network"]["roc_auc_of_seeds"] = [round(one["roc_auc"], 5) for one in figures]
    probabilities = {name: fit(data, schema) for name, fit in peers()}
    told |= {name: {k: round(v, 5) for k, v in figures_of(truth, one).items()} for name, one in probabilities.items()}
    trees = [name for name in probabilities if name in TREES]
    if trees:
        best = max(trees, key=lambda name: told[name]["roc_auc"])
        told["against_best_tree"] = {"name": best} | compare(
            truth, np.mean(scored, axis=0), probabilities[best], scored
        )
    return told


def measure_splits(
    name: str, data: pd.DataFrame, schema: RecordSchema, *, splits: int, deep: bool = False
) -> dict[str, Any]:
    """Return the mean figures over random splits of 60, 20 and 20 percent, and differences in ROC AUC by split."""
    rows: list[dict[str, Any]] = []
    results: dict[str, Any] = {"set": name, "splits": splits}
    for split in range(splits):
        _, rest = train_test_split(data.index, test_size=0.4, stratify=data["target"], random_state=split)
        valid, test = train_test_split(rest, test_size=0.5, stratify=data["target"][rest], random_state=split)
        parts = pd.Series("train", index=data.index)
        parts[valid], parts[test] = "valid", "test"
        drawn = data.assign(split=parts)
        rows.append(list(measure_deep(drawn, schema))[-1] if deep else measure(drawn, schema, seeds=1))
        models = [one for one, told in rows[0].items() if isinstance(told, dict) and "roc_auc" in told]
        for model in models:
            kept = ("roc_auc", "pr_auc", "brier", "log_loss")
            results[model] = {key: round(float(np.mean([one[model][key] for one in rows])), 5) for key in kept}
        differences = {model: [one["network"]["roc_auc"] - one[model]["roc_auc"] for one in rows] for model in models}
        results["network_minus"] = {
            model: {
                "mean": round(float(np.mean(found)), 5),
                "error": round(float(np.std(found) / max(1, len(found) - 1) ** 0.5), 5),
            }
            for model, found in differences.items()
            if model != "network"
        }
        print(split, {model: round(rows[-1][model]["roc_auc"], 4) for model in models}, flush=True)
        write_report(f"quality_{'deep_' if deep else ''}{name}_splits", results | {"splits": split + 1})
    return results


def _mean(figures: list[dict[str, float]]) -> dict[str, float]:
    return {key: round(float(np.mean([one[key] for one in figures])), 5) for key in figures[0]}


if __name__ == "__main__":
    main()
