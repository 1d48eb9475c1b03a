"""Scores your own frame, as in a notebook: describe the book, load the frame, train, read scores and reasons.

    tidemark up &
    python examples/own_data.py

The frame here is made up. Replace it by yours: one row per customer, with a key, columns, and an outcome.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from scheduler.client import Tidemark

PORTFOLIO = """
name = "loans"
title = "Loans from a notebook"
source = "loans"
key = "loan"
target = "defaulted"

[fields.income]
kind = "numeric"

[fields.debt]
kind = "numeric"

[fields.home]
kind = "categorical"
"""


def make_loans(rows: int = 1000, seed: int = 7) -> pd.DataFrame:
    """Return loans that default more often with more debt and less income; the newest hundred have no outcome yet."""
    random = np.random.default_rng(seed)
    income = random.lognormal(10, 0.5, rows).round()
    debt = (income * random.uniform(0, 1.5, rows)).round()
    is_bad = random.random(rows) < 0.02 + 0.4 * (debt / income > 1) + 0.2 * (income < 15_000)
    outcome = np.where(np.arange(rows) < rows - 100, is_bad.astype(float), np.nan)
    home = random.choice(["owns", "rents", "with parents"], rows)
    keys = [f"L{row:05d}" for row in range(rows)]
    return pd.DataFrame({"loan": keys, "income": income, "debt": debt, "home": home, "defaulted": outcome})


def main() -> pd.DataFrame:
    """Return the scores of the whole frame, riskiest first."""
    loans = make_loans()
    with Tidemark() as tidemark, TemporaryDirectory() as folder:
        file = Path(folder) / "loans.toml"
        file.write_text(PORTFOLIO, encoding="utf-8")
        tidemark.add_portfolio(file)
        tidemark.upload("loans", loans)
        tidemark.submit_training("loans", epochs=1).wait(progress=True)
        scores = tidemark.scores(tidemark.submit_scoring("loans").wait(progress=True))
        new = tidemark.score(
            [{"loan": "tomorrow", "income": 12_000, "debt": 15_000, "home": "rents"}], portfolio="loans"
        )
    print("a new loan:", new.iloc[0].to_dict())
    return scores.sort_values("probability", ascending=False, ignore_index=True)


if __name__ == "__main__":
    print(main().head(10).to_string())
