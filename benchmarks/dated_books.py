"""Books in time order for the loop: three real ones, and simulated ones whose world changes in a known way."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from transformer.records.record_store import FrameStore
from transformer.records.schema import Field, RecordSchema
from worker.replay.past import FIRST, Past

DATA = Path(__file__).parents[2] / "shared" / "data"
START = date(2024, 1, 31)
MONTH = timedelta(days=30)
# Rows of the first training, and nights; each night is a month of the simulated calendar.
REAL = {"bank_marketing": (8_000, 10), "electricity": (16_000, 10), "flight_delays": (26_000, 8)}
SIMULATED = ("abrupt", "gradual", "recurring", "none")
FIRST_ROWS, NIGHT_ROWS, NIGHTS = 4_000, 1_000, 12

Floats = NDArray[np.float64]


def read_real(name: str) -> Past | None:
    """Return a real book in its order, cut into nights of equal size; None where it is not at hand."""
    path = DATA / name / "data.parquet"
    if not path.exists():
        return None
    frame = pd.read_parquet(path).reset_index(drop=True)
    first, nights = REAL[name]
    later = np.arange(len(frame)) - first
    night = np.where(later < 0, FIRST, later * nights // (len(frame) - first))
    inputs = [one for one in frame.columns if one not in ("record_id", "split", "target", "time")]
    return _past(frame[inputs], frame["target"].to_numpy(np.float64), night, nights)


def simulate(kind: str, seed: int) -> Past:
    """Return a seeded book: the weights of six numbers change abruptly, gradually, back and forth, or never."""
    random = np.random.default_rng(seed)
    rows = FIRST_ROWS + NIGHTS * NIGHT_ROWS
    later = np.arange(rows) - FIRST_ROWS
    night = np.where(later < 0, FIRST, later // NIGHT_ROWS)
    numbers = random.standard_normal((rows, 6))
    region = random.integers(0, 5, rows)
    before, after = random.normal(0, 0.7, 6), random.normal(0, 0.7, 6)
    share = _SHARES[kind](night)[:, None]
    effects = random.normal(0, 0.4, 5)
    logit = -1.8 + (numbers * ((1 - share) * before + share * after)).sum(axis=1) + effects[region]
    target = (random.random(rows) < 1 / (1 + np.exp(-logit))).astype(np.float64)
    frame = pd.DataFrame(numbers, columns=[f"number_{one}" for one in range(6)])
    frame["region"] = np.array(["north", "east", "south", "west", "middle"])[region]
    return _past(frame, target, night, NIGHTS)


def _past(frame: pd.DataFrame, target: Floats, night: NDArray[np.int64], nights: int) -> Past:
    fields = tuple(
        Field(name, "numeric" if pd.api.types.is_numeric_dtype(frame[name]) else "categorical")
        for name in frame.columns
    )
    keys = np.array([str(one) for one in range(len(frame))], dtype=object)
    dates = tuple(START + one * MONTH for one in range(nights))
    schema = RecordSchema(fields, ())
    return Past(FrameStore(frame), target, keys, night, night + 1, dates, schema)


_SHARES: dict[str, Callable[[NDArray[np.int64]], Floats]] = {
    "abrupt": lambda night: (night >= NIGHTS // 3).astype(np.float64),
    "gradual": lambda night: np.clip((night + 1) / NIGHTS, 0, 1),
    "recurring": lambda night: ((night // 4) % 2 == 1).astype(np.float64) * (night >= 0),
    "none": lambda night: np.zeros(len(night)),
}
