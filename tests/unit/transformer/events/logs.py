"""Small logs of events, drawn from a seed."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from transformer.events.event_columns import DAY, EventColumns
from transformer.records.event_schema import EventTable, EventValue

TABLE = EventTable("log", "kind", (EventValue("amount", "numeric"), EventValue("shop", "categorical")))
START = 1_700_000_000_000_000  # microseconds
KINDS = np.array(["cash", "food", "salary", None], dtype=object)
SHOPS = np.array(["a", "b", None], dtype=object)

Integers = NDArray[np.int64]


def draw_log(records: int, each: int, seed: int) -> tuple[pd.DataFrame, Integers, Integers, Integers]:
    """Return a frame of events in any order, their times and records, and the moments of the records."""
    random = np.random.default_rng(seed)
    count = records * each
    record = random.integers(-1, records, count)
    at = START + random.integers(0, 60, count) * DAY // 2
    moments = START + random.integers(20, 80, records) * DAY // 2
    amount = np.where(random.random(count) < 0.1, np.nan, np.round(random.normal(50, 20, count), 2))
    frame = pd.DataFrame(
        {
            "kind": pd.Series(KINDS[random.integers(0, 4, count)], dtype="object"),
            "amount": amount,
            "shop": pd.Series(SHOPS[random.integers(0, 3, count)], dtype="object"),
        }
    )
    return frame, at, record, moments


def draw_columns(records: int = 40, each: int = 12, seed: int = 1) -> EventColumns:
    """Return a log, aligned."""
    frame, at, record, moments = draw_log(records, each, seed)
    return EventColumns.of(frame, at, record, moments, TABLE)
