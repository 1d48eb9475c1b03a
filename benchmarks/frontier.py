"""How small the network may be: accuracy against speed over its sizes, as a table and a plot.

    python -m benchmarks.frontier [--data ../shared/data] [--sets credit_cards,home_equity_lines] [--seeds 1]
                                  [--networks "default,width 16"]

Every network is trained with the defaults but for its sizes, and judged by the set's test rows; its speed is that of
the compiled form on one core, inputs ready. The frontier are the networks that no other beats in both.
"""

import argparse
from dataclasses import asdict
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from benchmarks.quality_sets import read_set
from benchmarks.report import RESULTS, write_report
from transformer.network.architecture import NetworkOptions
from transformer.network.compiled_network import CompiledNetwork
from transformer.records.column_reading import read_columns
from transformer.records.labelled_book import Book
from transformer.training.model_training import TrainingOptions, train_model

ROWS, RUNS = 20_480, 5
USUAL = asdict(NetworkOptions())
SIZES: dict[str, dict[str, int]] = {
    "default": {},
    "width 16": {"d_model": 16, "dff": 32},
    "width 48": {"d_model": 48, "dff": 96, "num_heads": 4},
    "width 64": {"d_model": 64, "dff": 128},
    "2 blocks": {"blocks": 2},
    "6 tokens for the fields": {"field_tokens": 6},
    "24 tokens for the fields": {"field_tokens": 24},
    "no direct branch": {"direct": 0},
    "width 16 with 6 tokens and direct 32": {"d_model": 16, "dff": 32, "field_tokens": 6, "direct": 32},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--sets", default="credit_cards,home_equity_lines")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--networks", default=",".join(SIZES), help="names of those to measure")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in options.networks.split(","):
        sizes = NetworkOptions(**(USUAL | SIZES[name]))
        row: dict[str, Any] = {"network": name}
        for one in options.sets.split(","):
            row |= measure(options.data, one, sizes, options.seeds)
        rows.append(row)
        print(row, flush=True)
    first = options.sets.split(",")[0]
    for row in rows:
        row["on the frontier"] = not any(_beats(other, row, first) for other in rows)
    if len(rows) == len(SIZES):
        draw(rows, first)
        print(write_report("frontier", rows))
    else:
        print(write_report(f"frontier_{first}", rows))


def measure(folder: Path, name: str, sizes: NetworkOptions, seeds: int) -> dict[str, Any]:
    """Return the mean test figures of the seeds, the number of weights, and records per second and core."""
    data, schema = read_set(folder, name)
    keys = data["record_id"].astype(str).to_numpy(dtype=object)
    is_test = (data["split"] == "test").to_numpy()
    book = Book.of(data, data["target"].to_numpy(np.float64), keys, holdout=is_test)
    models = [
        train_model(book, schema, options=TrainingOptions(seed=seed, network=sizes)) for seed in range(1, 1 + seeds)
    ]
    model = models[0]
    compiled = CompiledNetwork.of(model.network, model.transform)
    assert compiled is not None, "every network here has a compiled form"
    drawn = data.iloc[np.random.default_rng(0).integers(0, len(data), ROWS)].reset_index(drop=True)
    inputs = model.transform.transform(read_columns(drawn, schema)[0])
    seconds: list[float] = []
    for _ in range(RUNS + 1):
        began = process_time()
        compiled.run(inputs)
        seconds.append(process_time() - began)
    return {
        f"{name} roc_auc": round(float(np.mean([one.metrics["roc_auc"] for one in models])), 4),
        f"{name} log_loss": round(float(np.mean([one.metrics["log_loss"] for one in models])), 4),
        f"{name} weights": int(model.network.count_params()),
        f"{name} records_per_second": round(ROWS / float(np.median(seconds[1:]))),
    }


def _beats(one: dict[str, Any], other: dict[str, Any], name: str) -> bool:
    better = [one[f"{name} {figure}"] - other[f"{name} {figure}"] for figure in ("roc_auc", "records_per_second")]
    return min(better) >= 0 and max(better) > 0


def draw(rows: list[dict[str, Any]], name: str) -> None:
    """Draw accuracy against speed."""
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for row in rows:
        place = row[f"{name} records_per_second"], row[f"{name} roc_auc"]
        axes.scatter(*place, color="tab:blue" if row["on the frontier"] else "tab:gray")
        axes.annotate(row["network"], place, xytext=(5, 4), textcoords="offset points", fontsize=8)
    axes.set(xlabel="records per second and core, inputs ready", ylabel=f"ROC AUC on the test rows of {name}")
    axes.grid(alpha=0.3)
    figure.savefig(RESULTS / "frontier.png", dpi=120)


if __name__ == "__main__":
    main()
