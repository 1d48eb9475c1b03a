"""The canary's events: made up from a model's own definitions, and what the compiled aggregation made of them.

They belong to nobody: times and numbers are drawn, names are those of the definitions or one that no book holds. Any
process has to make the same aggregates of them, as it has to give the canary's records the same scores.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from transformer.bundles.canary import Canary, CanaryOutcome
from transformer.events.aggregation import make_aggregates
from transformer.events.event_columns import DAY, EventColumns
from transformer.records.event_schema import EventTable
from transformer.records.schema import RecordSchema

RECORDS, MOST_EVENTS, SEED = 100, 20, 20261130
_MOMENT = 20_000 * DAY + DAY * 7 // 13
_LONGEST, _NOT_KNOWN = 400.0, 0.05
_SAME, _SAME_LOGIT = 1e-9, 1e-3  # relative: a processor may round a sum otherwise; a network counts in single precision

Document = dict[str, Any]


def with_event_canary(canary: Canary, schema: RecordSchema) -> Canary:
    """Return the canary with events for every table that the model reads; the same schema gives the same ones."""
    tables = [table for table in schema.events if table.aggregates]
    random = np.random.default_rng(SEED)
    drawn: Document = {}
    for table in tables:
        events = _draw_events(table, random)
        made = _aggregate(events, table)
        drawn[table.name] = {"events": events, "aggregates": {str(name): _plain(made[name]) for name in made}}
    return replace(canary, events=drawn) if drawn else canary


def check_event_canary(outcome: CanaryOutcome, canary: Canary, schema: RecordSchema) -> CanaryOutcome:
    """Return the outcome with those records counted whose aggregates are others now, or cannot be made."""
    wrong = np.zeros(RECORDS, dtype=bool)
    for table in schema.events:
        frozen = (canary.events or {}).get(table.name)
        if frozen is None:
            continue
        made = _aggregate(frozen["events"], table)
        logits = {one.field for one in table.aggregates if one.measure == "order"}
        for name, values in frozen["aggregates"].items():
            wrong |= _differ(values, _plain(made[name]), _SAME_LOGIT if name in logits else _SAME)
    if not wrong.any():
        return outcome
    return CanaryOutcome(outcome.records, max(outcome.mismatches, int(wrong.sum())), 1.0)


def _draw_events(table: EventTable, random: np.random.Generator) -> Document:
    record = np.repeat(np.arange(RECORDS), random.integers(0, MOST_EVENTS + 1, RECORDS))
    days = min(_LONGEST, table.window_days or _LONGEST)
    before = random.random(len(record)) ** 2 * 1.05 * days * DAY  # a few are older than the window
    drawn: Document = {"record": record.tolist(), "before": before.astype(np.int64).tolist()}
    for name in table.names:
        known = {one.name for one in table.aggregates if one.among == name}
        known |= {one.then for one in table.aggregates if one.among == name}
        choices = [*sorted(one for one in known if one is not None), f"nobody {random.integers(2**32):08x}"]
        drawn[name] = [choices[one] for one in random.integers(0, len(choices), len(record)).tolist()]
    for name in table.numbers:
        drawn[name] = np.round(random.lognormal(3.0, 1.0, len(record)), 2).tolist()
    for name in (*table.names, *table.numbers):
        is_known = random.random(len(record)) >= _NOT_KNOWN
        drawn[name] = [value if known else None for value, known in zip(drawn[name], is_known, strict=True)]
    return drawn


def _aggregate(events: Document, table: EventTable) -> pd.DataFrame:
    frame = pd.DataFrame({name: pd.Series(events[name], dtype="object") for name in (*table.names, *table.numbers)})
    at = _MOMENT - np.array(events["before"], dtype=np.int64)
    moments = np.full(RECORDS, _MOMENT)
    columns = EventColumns.of(frame, at, np.array(events["record"], dtype=np.int64), moments, table)
    return make_aggregates(columns, table.aggregates)


def _plain(values: "pd.Series[Any]") -> list[Any]:
    return values.astype("object").where(values.notna(), None).tolist()


def _differ(frozen: list[Any], made: list[Any], same: float) -> NDArray[np.bool_]:
    return np.array([not _are_same(one, other, same) for one, other in zip(frozen, made, strict=True)])


def _are_same(one: Any, other: Any, same: float) -> bool:
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return bool(np.isclose(one, other, rtol=same, atol=same))
    return one == other
