"""A portfolio in the terms of the network's code: its columns as a schema, its score scale."""

from db.portfolios.definition import PortfolioDefinition
from transformer.records.schema import Field, History, RecordSchema
from transformer.scoring.points import ScoreScale


def schema_of(definition: PortfolioDefinition) -> RecordSchema:
    """Return the schema of a portfolio for the network."""
    fields = tuple(Field(one.name, one.kind.value, one.missing_codes) for one in definition.fields)
    histories = tuple(History(one.name, one.kind.value, one.columns, one.missing_codes) for one in definition.histories)
    return RecordSchema(fields, histories)


def scale_of(definition: PortfolioDefinition) -> ScoreScale:
    """Return the scale that turns probabilities into points and bands."""
    scale = definition.score
    return ScoreScale(points=scale.points, odds=scale.odds, points_to_double=scale.points_to_double)
