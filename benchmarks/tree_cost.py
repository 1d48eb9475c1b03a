"""What boosted trees cost when scoring: the default network for credit_cards with and without 200 trees, one thread.

    python -m benchmarks.tree_cost [--data ../shared/data] [--trees 200] [--runs 15]

Inputs are ready; runs alternate. The ratio of both speeds comes with its quartiles.
"""

import argparse
from pathlib import Path
from time import perf_counter

import numpy as np

from benchmarks.quality_sets import read_examples
from benchmarks.report import write_report
from transformer.branches.branch_mixture import plant
from transformer.branches.tree_boosting import Booster
from transformer.network.architecture import NetworkOptions, build_network, tree_inputs
from transformer.network.compiled_network import CompiledNetwork


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--trees", type=int, default=200)
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    transform, examples = read_examples(options.data, "credit_cards")
    trees = Booster(tree_inputs(transform), 1, lambda: None).fit(examples, options.trees)
    plain = build_network(transform)
    planted, _ = plant(plain, transform, NetworkOptions(), trees, 0.5)
    compiled = {"without": CompiledNetwork.of(plain, transform), "with": CompiledNetwork.of(planted, transform)}
    seconds: dict[str, list[float]] = {name: [] for name in compiled}
    for run in range(options.runs + 1):
        for name, network in compiled.items():
            assert network is not None, "the default network has a compiled form"
            began = perf_counter()
            network.run(examples.inputs)
            if run:
                seconds[name].append(perf_counter() - began)
    each = {name: np.array(one) / examples.rows for name, one in seconds.items()}
    results = {f"microseconds a record, {name}": round(1e6 * float(np.median(one)), 2) for name, one in each.items()}
    results["trees"] = options.trees
    results["nanoseconds a tree and record"] = round(
        1e9 * float(np.median(each["with"] - each["without"])) / options.trees, 2
    )
    low, middle, high = np.quantile(each["without"] / each["with"], [0.25, 0.5, 0.75])
    results["speed with, against without"] = [round(float(one), 3) for one in (low, middle, high)]
    print(results, write_report("tree_cost", results))


if __name__ == "__main__":
    main()
