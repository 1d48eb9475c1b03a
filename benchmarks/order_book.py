"""Makes a book of events whose outcome depends on what came after what, where no aggregate of Tidemark's looks.

    python -m benchmarks.order_book OUT [--seed 3] [--records 6000]

Every record has one x, one y and one z among 15 to 45 other events in 120 days; it is bad more often when they came in
the order x, y, z, and a little more often in the order y, z, x. How many there are, how old each is and what it is
worth say little.
Writes records.parquet and events.parquet for `benchmarks.event_quality`, and prints the ROC AUC of the true odds.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

BEGIN = pd.Timestamp("2024-01-01")
LOG_ODDS = {(0, 1, 2): 2.5, (1, 2, 0): 1.0}
SHARES = {"train": 0.567, "valid": 0.1, "test": 0.333}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--records", type=int, default=6000)
    options = parser.parse_args()
    records, events = draw_book(np.random.default_rng(options.seed), options.records)
    options.out.mkdir(parents=True, exist_ok=True)
    records.to_parquet(options.out / "records.parquet", index=False)
    events.to_parquet(options.out / "events.parquet", index=False)
    test = records[records["split"] == "test"]
    print(f"the true odds have a ROC AUC of {roc_auc_score(test['target'], test['log_odds']):.4f}")


def draw_book(random: np.random.Generator, count: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the records, with their true log-odds, and their events."""
    log_odds = np.full(count, -1.5)
    parts: list[pd.DataFrame] = []
    for record in range(count):
        size = int(random.integers(15, 45))
        kinds = random.choice(list("abcdefg"), size)
        order = random.permutation(3)
        kinds[np.sort(random.choice(size, 3, replace=False))] = np.array(["x", "y", "z"])[order]
        log_odds[record] += LOG_ODDS.get(tuple(order.tolist()), 0.0)
        at = BEGIN + pd.to_timedelta(np.sort(random.uniform(0, 120, size)), "D")
        amount = np.exp(random.normal(3, 1, size))
        parts.append(pd.DataFrame({"record_id": record, "at": at, "type": kinds, "amount": amount}))
    target = (random.random(count) < 1 / (1 + np.exp(-log_odds))).astype(int)
    records = pd.DataFrame({"record_id": np.arange(count), "income": random.normal(size=count), "log_odds": log_odds})
    ends = np.round(np.cumsum(list(SHARES.values())) * count).astype(int)
    split = np.repeat(list(SHARES), np.diff([0, *ends[:-1], count]))
    return records.assign(target=target, cut_off=BEGIN + pd.Timedelta(days=121), split=split), pd.concat(parts)


if __name__ == "__main__":
    main()
