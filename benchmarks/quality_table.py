"""Prints the tables of docs/quality.md from the results of `benchmarks.quality`.

python -m benchmarks.quality_table
"""

import json
from collections.abc import Iterator
from typing import Any

import pandas as pd

from benchmarks.quality import TREES
from benchmarks.quality_sets import SETS
from benchmarks.report import RESULTS

DEEP = ("FT-Transformer", "TabM")
MODELS = ("network", "without trees", *TREES, "scorecard", *DEEP)
FIGURES = {"roc_auc": "ROC AUC", "pr_auc": "PR AUC", "brier": "Brier", "log_loss": "log loss"}


def main() -> None:
    """Print them."""
    files = {name: name for name in SETS} | {f"{name}, splits": f"{name}_splits" for name in SETS}
    found = {name: _read(f"quality_{file}") | _read_deep(file) for name, file in files.items()}
    measured = {name: one for name, one in found.items() if "network" in one}
    print(f"| set | | {' | '.join(MODELS)} |\n|---|---|{'---|' * len(MODELS)}")
    for name, results in measured.items():
        for key, figure in FIGURES.items():
            cells = [f"{results[model][key]:.4f}" if model in results else "" for model in MODELS]
            print(f"| {name} | {figure} | {' | '.join(cells)} |")
    print("\n| set | seeds | network minus best tree, 95 % | calibration slope |\n|---|---|---|---|")
    for name, results in measured.items():
        print(_difference(name, results))
    print("\n| set | attention | direct | scorecard | trees |\n|---|---|---|---|---|")
    for name, results in measured.items():
        if "mixture" in results:
            cells = [f"{results['mixture'][branch]:.2f}" for branch in ("attention", "direct", "scorecard", "trees")]
            print(f"| {name} | {' | '.join(cells)} |")
    print(f"\n| | {' | '.join(MODELS[:-2])} |\n|---|{'---|' * len(MODELS[:-2])}\n{_mean_ranks(measured)}")
    print("\n| set | deep model | seconds | network (seed 1) minus it, ROC AUC |\n|---|---|---|---|")
    for file in files.values():
        print("".join(_deep_differences(file, _read(f"quality_deep_{file}"))), end="")
    for share in ("0.01", "0.05"):
        few = _read(f"quality_few_{share}")
        if few:
            told = ", ".join(f"{model} {value:.4f}" for model, value in few["mean"].items())
            print(f"\n{float(share):.0%} of the outcomes of credit_cards, mean of {len(few['draws'])} draws: {told}")


def _mean_ranks(measured: dict[str, dict[str, Any]]) -> str:
    """Return the row of mean ranks by ROC AUC, the best of a set being 1, over the sets that all models have."""
    models = MODELS[:-2]
    each = [
        {model: one[model]["roc_auc"] for model in models}
        for one in measured.values()
        if all(model in one for model in models)
    ]
    ranks = pd.DataFrame(each, columns=list(models)).rank(axis=1, ascending=False).mean()
    return f"| mean rank by ROC AUC, {len(each)} sets | {' | '.join(f'{value:.2f}' for value in ranks)} |"


def _difference(name: str, results: dict[str, Any]) -> str:
    if "splits" in results:
        trees = {tree: one for tree, one in results["network_minus"].items() if tree in TREES}
        best = min(trees, key=lambda tree: trees[tree]["mean"])
        told = f"{trees[best]['mean']:+.4f} ({best}, standard error {trees[best]['error']:.4f})"
        return f"| {name} | {results['splits']} splits | {told} | |"
    best, slope = results["against_best_tree"], results["network"]["calibration_slope"]
    low, high = best["interval"]
    told = f"{best['difference']:+.4f} ({low:+.4f} to {high:+.4f}), {best['name']}"
    return f"| {name} | {results['seeds']} | {told} | {slope:.2f} |"


def _deep_differences(name: str, results: dict[str, Any]) -> Iterator[str]:
    for model in (one for one in DEEP if one in results and "network" in results):
        if "splits" in results:
            found = results["network_minus"][model]
            told, seconds = (
                f"{found['mean']:+.4f} ({results['splits']} splits, standard error {found['error']:.4f})",
                "",
            )
        else:
            found, seconds = results[model]["network_minus"], str(results[model]["seconds"])
            told = f"{found['difference']:+.4f} ({found['interval'][0]:+.4f} to {found['interval'][1]:+.4f})"
        yield f"| {name} | {model} | {seconds} | {told} |\n"


def _read_deep(name: str) -> dict[str, Any]:
    return {model: one for model, one in _read(f"quality_deep_{name}").items() if model in DEEP}


def _read(name: str) -> dict[str, Any]:
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text())["results"] if path.exists() else {}


if __name__ == "__main__":
    main()
