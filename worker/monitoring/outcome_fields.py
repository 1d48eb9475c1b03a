"""Compares the parts of a night by the fields of its records, as far as the source still has them."""

from logging import getLogger
from typing import Any

import numpy as np
import pandas as pd

from db.connections.engine import Engine
from db.errors import SourceError
from db.portfolios.definition import FieldKind, PortfolioDefinition
from db.retraining.outcome_fields import read_fields_of_night
from db.retraining.vintages import JudgedScores
from db.sources.source_table import RECORD_KEY
from worker.gate.outcome_parts import OddPart, Parts, find_odd_parts, parts_of_names, parts_of_numbers

logger = getLogger(__name__)

MOST_RECORDS = 20_000  # of a night; more find no smaller parts that matter
MOST_FIELDS = 200
_MONTH_LENGTH = 7  # of YYYY-MM


def odd_parts_of(engine: Engine, definition: PortfolioDefinition, job_id: int, judged: JudgedScores) -> list[OddPart]:
    """Return the parts of a night whose outcomes stand out.

    Where the source cannot be read now, only bands of the score are compared.
    """
    one_in = -(-len(judged.keys) // MOST_RECORDS)
    columns = _columns_of(definition)
    try:
        frame = read_fields_of_night(engine, definition, job_id, columns, one_in=max(1, one_in))
    except SourceError as error:
        logger.warning("Outcomes not compared by field: portfolio %s: %s", definition.name, error)
        return find_odd_parts(judged.probability, judged.outcome, {})
    rows = pd.Index(judged.keys).get_indexer(pd.Index(frame[RECORD_KEY]))
    frame, rows = frame[rows >= 0], rows[rows >= 0]
    if not len(rows):
        return find_odd_parts(judged.probability, judged.outcome, {})
    parts = {name: _part(frame[name], definition.column_kinds.get(name)) for name in columns}
    return find_odd_parts(judged.probability[rows], judged.outcome[rows], parts)


def _columns_of(definition: PortfolioDefinition) -> tuple[str, ...]:
    """The fields, without histories: their periods say much the same; and the date of the records."""
    own = [one.name for one in definition.fields[:MOST_FIELDS]]
    return tuple(dict.fromkeys([*own, *definition.segments, *([definition.as_of] if definition.as_of else [])]))


def _part(values: "pd.Series[Any]", kind: FieldKind | None) -> Parts:
    if kind is FieldKind.NUMERIC:
        return parts_of_numbers(pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64))
    if kind is None:  # a date, or a segment that the model does not use
        values = values.astype("object").where(values.isna(), values.astype(str).str[:_MONTH_LENGTH])
    return parts_of_names(values)
