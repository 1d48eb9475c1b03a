"""How many outcomes the source itself holds for each date, where its records have a date and a target."""

from datetime import date

from sqlalchemy import Connection, Double, Subquery, Text, and_, case, cast, func, not_, select

from db.portfolios.definition import PortfolioDefinition
from db.sources.source_table import reflect_source, require_columns
from db.sources.source_trouble import reading_source

_DATE_LENGTH = 10  # of YYYY-MM-DD
_DATED = "____-__%"  # a text of another form has no age


def count_labelled_by_date(
    connection: Connection, definition: PortfolioDefinition, after: str, *, until: date | None = None
) -> list[tuple[str, int, int]]:
    """Return (date, outcomes, bad outcomes) of the records later than `after`, oldest first.

    Outcomes of records later than `until` are not final, and are left out. Empty if the portfolio has no target or no
    date column. Raises `SourceError` if the source cannot be read.
    """
    if definition.target is None or definition.as_of is None:
        return []
    with reading_source(connection.engine, definition.learning_records):
        known = _select_known(connection, definition, after, until)
        counts = (func.count(), func.sum(known.c.is_bad))
        statement = select(known.c.day, *counts).group_by(known.c.day).order_by(known.c.day)
        return [(str(row[0]), int(row[1]), int(row[2])) for row in connection.execute(statement)]


def count_labelled(
    connection: Connection, definition: PortfolioDefinition, after: str, *, until: date | None = None
) -> tuple[int, int]:
    """Return what `count_labelled_by_date` does for all dates together: outcomes, and bad ones among them."""
    if definition.target is None or definition.as_of is None:
        return 0, 0
    with reading_source(connection.engine, definition.learning_records):
        known = _select_known(connection, definition, after, until)
        outcomes, bad = connection.execute(select(func.count(), func.sum(known.c.is_bad)).select_from(known)).one()
    return int(outcomes), int(bad or 0)


def _select_known(connection: Connection, definition: PortfolioDefinition, after: str, until: date | None) -> Subquery:
    assert definition.target is not None, "looked at by the callers"
    assert definition.as_of is not None, "looked at by the callers"
    table = reflect_source(connection, definition.learning_records)
    require_columns(table, (definition.target, definition.as_of))
    outcome, as_of = cast(table.c[definition.target], Double), cast(table.c[definition.as_of], Text)
    day = func.substr(as_of, 1, _DATE_LENGTH)
    later = select(day.label("day"), case((outcome == 1, 1), else_=0).label("is_bad"))
    later = later.where(outcome.in_((0, 1)), as_of > after)
    if until is not None:
        later = later.where(not_(and_(as_of.like(_DATED), day > until.isoformat())))
    return later.subquery()
