"""Small synthetic books of records, from a seed."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from transformer.records.schema import Field, History, RecordSchema

STEPS = 4
FIELDS = (Field("amount", "numeric"), Field("age", "numeric", (-9.0,)), Field("region", "categorical"))
DELAY = History("delay", "numeric", tuple(f"delay_{step}" for step in range(STEPS)))
STATE = History("state", "categorical", tuple(f"state_{step}" for step in range(STEPS)))
SCHEMA = RecordSchema(FIELDS, (DELAY, STATE))


def make_book(rows: int, seed: int = 1) -> tuple[pd.DataFrame, NDArray[np.float64], NDArray[np.object_]]:
    """Return records of `SCHEMA`, their outcomes (a third is bad), and their keys."""
    random = np.random.default_rng(seed)
    columns: dict[str, Any] = {
        "amount": random.lognormal(3.0, 1.0, rows),
        "age": np.where(random.random(rows) < 0.1, -9, random.integers(18, 80, rows)),
        "region": random.choice(["north", "south", "west"], rows),
    }
    delays = random.poisson(0.8, (rows, STEPS))
    for step in range(STEPS):
        columns[f"delay_{step}"] = delays[:, step].astype(float)
        columns[f"state_{step}"] = np.where(delays[:, step] > 1, "late", "good")
    risk = 0.9 * delays[:, -1] + 0.4 * delays.mean(axis=1) - 0.6 * np.log(columns["amount"]) + 0.3
    target = (random.random(rows) < 1 / (1 + np.exp(-2 * risk))).astype(float)
    return pd.DataFrame(columns), target, np.array([f"k{row}" for row in range(rows)], dtype=object)
