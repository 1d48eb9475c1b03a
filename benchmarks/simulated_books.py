"""Where networks lose to trees: simulated books with sharp interactions, informative blanks, and records that repeat.

    python -m benchmarks.simulated_books [--kinds loans,ratios,repeating] [--seeds 1,2]

- `loans`: 12 fields of a home loan, numbers and names, the outcome a sum of 25 random trees of depth 5; one field is
  blank mostly for those who will default.
- `ratios`: 60 ratios of a firm's accounts with heavy tails, the outcome a sum of 40 random trees of depth 4; 6 % bad.
- `repeating`: 1,500 of the loans, each four times with little noise and nearly one outcome, as in books where the same
  customer stands several times.

4,800 records are learnt from, of which trees stop by 1,200 (`repeating`: 4,500 and 1,000); the figures are of the other
20,000 (1,500). The network chooses its edges, its schedule and its mixture itself; trees and scorecard as in
`benchmarks.quality`.
"""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from benchmarks.quality_peers import peers
from benchmarks.report import write_report
from transformer.records.labelled_book import Book
from transformer.records.schema import Field, RecordSchema
from transformer.training.model_training import TrainingOptions, train_model

RECORDS, LEARNT, STOPPED_BY = 26_000, 4_800, 1_200
FIRMS_ACCOUNTS, RATIOS = 20, 60

Floats = NDArray[np.float64]
Made = tuple[pd.DataFrame, Floats, RecordSchema]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--seeds", default="1,2")
    options = parser.parse_args()
    rows = [measure(kind, int(seed)) for kind in options.kinds.split(",") for seed in options.seeds.split(",")]
    print(write_report("simulated_books", rows))


def measure(kind: str, seed: int) -> dict[str, Any]:
    """Return each model's ROC AUC on the test rows, and which edges the network took."""
    frame, outcome, schema = KINDS[kind](seed)
    is_small = len(frame) < RECORDS
    test, valid = (1_500, 1_000) if is_small else (len(frame) - LEARNT, STOPPED_BY)
    order = np.random.default_rng(seed + 99).permutation(len(frame))
    split = np.full(len(frame), "train", dtype=object)
    split[order[:test]], split[order[test : test + valid]] = "test", "valid"
    data = frame.assign(split=split, target=outcome)
    is_test, keys = split == "test", np.array([f"k{row}" for row in range(len(frame))], dtype=object)
    model = train_model(Book.of(data, outcome, keys, holdout=is_test), schema, options=TrainingOptions(seed=1))
    row: dict[str, Any] = {"kind": kind, "seed": seed, "network": round(model.metrics["roc_auc"], 4)}
    row["edges"] = model.strategy["edges"]["bins"]
    for name, fit in peers():
        row[name] = round(float(roc_auc_score(outcome[is_test], fit(data, schema))), 4)
    print(row, flush=True)
    return row


def make_loans(seed: int) -> Made:
    """Loans whose outcome is a sum of trees and a blank."""
    random = np.random.default_rng(seed)
    latent = random.normal(size=(RECORDS, 4))
    numbers = np.column_stack([
        np.exp(latent[:, 0] * 0.6 + 9.8),
        np.exp(latent[:, 0] * 0.5 + latent[:, 1] * 0.4 + 11),
        np.exp(latent[:, 0] * 0.4 + latent[:, 1] * 0.3 + 11.5),
        random.gamma(2, 4, RECORDS) + np.abs(latent[:, 2]) * 2,
        random.poisson(np.exp(latent[:, 3] * 0.8 - 1.4)),
        random.poisson(np.exp(latent[:, 3] * 0.9 - 1)),
        180 + latent[:, 2] * 80 + random.normal(size=RECORDS) * 20,
        random.poisson(1.2, RECORDS),
        np.maximum(0, 21 + latent[:, 1] * 9 + random.normal(size=RECORDS) * 3),
        34 + 8 * random.normal(size=RECORDS) + 2 * latent[:, 0],
        random.integers(0, 6, RECORDS),
        random.integers(0, 2, RECORDS),
    ]).astype(np.float64)  # fmt: skip
    risk = _sum_of_trees(random, numbers, trees=25, depth=5, lowest=0.05, highest=0.5)
    is_blank = random.random(RECORDS) < _sigmoid(-2.2 + 1.6 * risk + random.normal(size=RECORDS) * 0.5)
    outcome = (random.random(RECORDS) < _sigmoid(-2.3 + 2.2 * risk + 2.2 * is_blank)).astype(np.float64)
    numbers[is_blank, 9] = np.nan
    for column, share in ((1, 0.02), (2, 0.09), (3, 0.09), (4, 0.12), (5, 0.1), (6, 0.05), (7, 0.09), (8, 0.04)):
        numbers[random.random(RECORDS) < share, column] = np.nan
    frame = pd.DataFrame(numbers, columns=[f"f{column}" for column in range(12)])
    names = {"f10": frame["f10"].map(lambda one: f"job {int(one)}"), "f11": frame["f11"].map(lambda one: f"why {one}")}
    fields = [Field(f"f{column}", "numeric" if column < 10 else "categorical") for column in range(12)]
    return frame.assign(**names), outcome, RecordSchema(tuple(fields), ())


def make_ratios(seed: int) -> Made:
    """Firms whose accounts move together; each field is a ratio of two of them, or of a difference and a third."""
    random = np.random.default_rng(seed)
    size = random.normal(size=RECORDS) * 1.5
    common = random.normal(size=(RECORDS, 5)) @ random.normal(size=(5, FIRMS_ACCOUNTS)) * 0.5
    accounts = np.exp(size[:, None] + common + random.normal(size=(RECORDS, FIRMS_ACCOUNTS)) * 0.5)
    columns: list[Floats] = []
    for number in range(RATIOS):
        first, second, third = random.choice(FIRMS_ACCOUNTS, 3, replace=False)
        difference = (accounts[:, first] - accounts[:, second]) / accounts[:, third]
        columns.append(difference if number % 2 else accounts[:, first] / accounts[:, second])
    numbers = np.column_stack(columns)
    risk = _sum_of_trees(random, numbers, trees=40, depth=4, lowest=0.03, highest=0.3)
    outcome = (random.random(RECORDS) < _sigmoid(-4.2 + 2.0 * risk)).astype(np.float64)
    for column in random.choice(RATIOS, 12, replace=False):
        numbers[random.random(RECORDS) < 0.03 + 0.05 * outcome, column] = np.nan
    names = [f"f{column}" for column in range(RATIOS)]
    schema = RecordSchema(tuple(Field(name, "numeric") for name in names), ())
    return pd.DataFrame(numbers, columns=names), outcome, schema


def make_repeating(seed: int) -> Made:
    """Some of the loans, each of them four times."""
    frame, outcome, schema = make_loans(seed)
    random = np.random.default_rng(seed)
    rows = np.repeat(random.permutation(len(frame))[:1_500], 4)
    repeated, known = frame.iloc[rows].reset_index(drop=True), outcome[rows]
    for column in ("f0", "f1", "f2", "f3", "f6", "f8", "f9"):
        noise = random.normal(size=len(rows)) * repeated[column].std() * 0.03
        repeated[column] = repeated[column] + noise
    return repeated, np.where(random.random(len(rows)) < 0.04, 1 - known, known), schema


KINDS: dict[str, Callable[[int], Made]] = {"loans": make_loans, "ratios": make_ratios, "repeating": make_repeating}


def _sum_of_trees(
    random: np.random.Generator, numbers: Floats, *, trees: int, depth: int, lowest: float, highest: float
) -> Floats:
    """Return N values of mean 0 and deviation 1; every node cuts a column at a quantile of this range."""
    total = np.zeros(len(numbers))

    def grow(rows: NDArray[np.int64], levels: int) -> None:
        if levels == 0 or len(rows) < 30:
            total[rows] += random.normal()
            return
        values = numbers[rows, random.integers(numbers.shape[1])]
        share = random.uniform(lowest, highest)
        is_above = values > np.quantile(values, share if random.random() < 0.5 else 1 - share)
        grow(rows[is_above], levels - 1)
        grow(rows[~is_above], levels - 1)

    for _ in range(trees):
        grow(np.arange(len(numbers)), depth)
    return (total - total.mean()) / total.std()


def _sigmoid(logits: Floats) -> Floats:
    return 1 / (1 + np.exp(-logits))


if __name__ == "__main__":
    main()
