"""A portfolio in the terms of the network's code: its columns as a schema, its score scale."""

from db.portfolios.definition import EventsDefinition, PortfolioDefinition
from transformer.records.event_schema import EventTable, EventValue
from transformer.records.schema import Field, History, RecordSchema
from transformer.scoring.points import ScoreScale


def schema_of(definition: PortfolioDefinition) -> RecordSchema:
    """Return the schema of a portfolio for the network; of its events no aggregates are chosen yet."""
    fields = tuple(Field(one.name, one.kind.value, one.missing_codes) for one in definition.fields)
    histories = tuple(History(one.name, one.kind.value, one.columns, one.missing_codes) for one in definition.histories)
    return RecordSchema(fields, histories, tuple(event_table_of(one) for one in definition.events))


def event_table_of(events: EventsDefinition) -> EventTable:
    """Return an event table of a portfolio for the network."""
    values = tuple(EventValue(one.name, one.kind.value, one.missing_codes) for one in events.fields)
    return EventTable(events.name, events.type, values, events.window_days, most=events.most)


def scale_of(definition: PortfolioDefinition) -> ScoreScale:
    """Return the scale that turns probabilities into points and bands."""
    scale = definition.score
    return ScoreScale(points=scale.points, odds=scale.odds, points_to_double=scale.points_to_double)
