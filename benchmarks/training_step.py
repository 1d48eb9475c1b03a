"""How long a training step takes, compiled and in TensorFlow: the default network for credit_cards, 512 records a step.

    python -m benchmarks.training_step [--data ../shared/data] [--runs 7]

Runs alternate; each is an epoch over 7,168 records. The ratio comes with its smallest and largest value.
"""

import argparse
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.quality_sets import read_examples
from benchmarks.report import write_report
from transformer.fitting.compiled_stepper import CompiledStepper
from transformer.fitting.keras_stepper import Stepper
from transformer.fitting.options import FittingOptions
from transformer.network.architecture import build_network

STEPS, BATCH_ROWS = 14, 512


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    transform, examples = read_examples(options.data, "credit_cards")
    examples = examples.take(np.arange(STEPS * BATCH_ROWS))
    how = FittingOptions(BATCH_ROWS, epochs=options.runs + 1, seed=1)
    network = build_network(transform)
    compiled = CompiledStepper.of(network, how, transform)
    assert compiled is not None, "the default network has a compiled gradient"
    steppers: dict[str, Any] = {"TensorFlow": Stepper(build_network(transform), how), "compiled": compiled}
    seconds: dict[str, list[float]] = {name: [] for name in steppers}
    for stepper in steppers.values():
        stepper.begin(examples.rows)
        stepper.run_epoch(examples, np.random.default_rng(0), how.epochs, lambda: None)
    for _ in range(options.runs):
        for name, stepper in steppers.items():
            began = perf_counter()
            stepper.run_epoch(examples, np.random.default_rng(1), how.epochs, lambda: None)
            seconds[name].append((perf_counter() - began) / STEPS)
    ratios = np.array(seconds["TensorFlow"]) / np.array(seconds["compiled"])
    results = {f"milliseconds a step, {name}": round(1e3 * float(np.median(one)), 2) for name, one in seconds.items()}
    results["ratio"] = {name: round(float(f(ratios)), 2) for name, f in _SPREAD.items()}
    print(results, write_report("training_step", results))


_SPREAD = {"median": np.median, "smallest": np.min, "largest": np.max}

if __name__ == "__main__":
    main()
