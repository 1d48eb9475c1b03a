"""The canary's events are of nobody, are the same for the same definitions, and tell a changed aggregation."""

import json
from dataclasses import replace

from transformer.bundles.canary import Canary, CanaryOutcome
from transformer.events.event_canary import RECORDS, check_event_canary, with_event_canary
from transformer.records.event_schema import Aggregate, EventTable, EventValue
from transformer.records.schema import RecordSchema

AGGREGATES = (
    Aggregate("log.count", "count"),
    Aggregate("log[cash].sum.30d", "sum", "amount", among="type", name="cash", days=30),
    Aggregate("log[pay].then[cash]", "followed", among="type", name="pay", then="cash"),
    Aggregate("log.last", "name", among="type"),
    Aggregate("log.gap", "mean_gap"),
)
TABLE = EventTable("log", "type", (EventValue("amount", "numeric"),), 90.0, AGGREGATES)
SCHEMA = RecordSchema((), (), ()).with_aggregates((TABLE,))
EMPTY, FINE = Canary({}, [], 3), CanaryOutcome(RECORDS, 0, 0.0)


def test_a_stored_canary_is_reproduced() -> None:
    canary = Canary.from_document(json.loads(json.dumps(with_event_canary(EMPTY, SCHEMA).to_document())))
    assert canary == with_event_canary(EMPTY, SCHEMA)
    assert check_event_canary(FINE, canary, SCHEMA) == FINE


def test_its_events_give_every_aggregate_several_values() -> None:
    drawn = with_event_canary(EMPTY, SCHEMA).events
    assert drawn is not None
    assert {name: len(set(values)) > 2 for name, values in drawn["log"]["aggregates"].items()} == dict.fromkeys(
        (one.field for one in AGGREGATES), True
    )
    assert {one for one in drawn["log"]["events"]["type"] if one and not one.startswith("nobody ")} == {"cash", "pay"}


def test_another_aggregation_is_told() -> None:
    canary = with_event_canary(EMPTY, SCHEMA)
    shorter = replace(TABLE, aggregates=(AGGREGATES[0], replace(AGGREGATES[1], days=20.0), *AGGREGATES[2:]))
    found = check_event_canary(FINE, canary, replace(SCHEMA, events=(shorter,)))
    assert found.mismatches > RECORDS / 10
    assert found.largest_difference == 1.0


def test_a_model_without_events_or_of_an_older_release_has_none() -> None:
    assert with_event_canary(EMPTY, RecordSchema((), (), ())) is EMPTY
    assert "events" not in EMPTY.to_document()
    assert check_event_canary(FINE, EMPTY, SCHEMA) == FINE
