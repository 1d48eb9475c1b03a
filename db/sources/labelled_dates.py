"""How many outcomes the source itself holds for each date, where its records have a date and a target."""

from sqlalchemy import Connection, Double, Text, case, cast, func, select

from db.portfolios.definition import PortfolioDefinition
from db.sources.source_table import reflect_source, require_columns
from db.sources.source_trouble import reading_source

_DATE_LENGTH = 10  # of YYYY-MM-DD


def count_labelled_by_date(
    connection: Connection, definition: PortfolioDefinition, after: str
) -> list[tuple[str, int, int]]:
    """Return (date, outcomes, bad outcomes) of the records later than `after`, oldest first.

    Empty if the portfolio has no target or no date column. Raises `SourceError` if the source cannot be read.
    """
    if definition.target is None or definition.as_of is None:
        return []
    with reading_source(connection.engine, definition.learning_records):
        table = reflect_source(connection, definition.learning_records)
        require_columns(table, (definition.target, definition.as_of))
        outcome, as_of = cast(table.c[definition.target], Double), cast(table.c[definition.as_of], Text)
        later = select(func.substr(as_of, 1, _DATE_LENGTH).label("day"), outcome.label("outcome"))
        known = later.where(outcome.in_((0, 1)), as_of > after).subquery()
        counts = (func.count(), func.sum(case((known.c.outcome == 1, 1), else_=0)))
        statement = select(known.c.day, *counts).group_by(known.c.day).order_by(known.c.day)
        return [(str(row[0]), int(row[1]), int(row[2])) for row in connection.execute(statement)]
