"""The fields of the records whose outcomes are known, to see whether a part of them stands out."""

import pandas as pd
from sqlalchemy import Engine, Text, cast, select

from db.connections.engine import reading
from db.connections.frame_reading import fetch_frame
from db.portfolios.definition import PortfolioDefinition
from db.schema.retraining_tables import outcomes
from db.sources.source_table import RECORD_KEY, reflect_source, require_columns
from db.sources.source_trouble import reading_source


def read_fields_of_night(
    engine: Engine, definition: PortfolioDefinition, job_id: int, columns: tuple[str, ...], *, one_in: int = 1
) -> pd.DataFrame:
    """Return the columns of the records of a scoring job with an outcome, as they are in the source now.

    Only every so many outcomes count. Records that have left the source are missing, and for equal keys the first one
    stays. The column `tidemark_record_key` comes first. Raises `SourceError` if the source cannot be read.
    """
    source = definition.learning_records
    with reading_source(engine, source):
        with reading(engine) as connection:
            table = reflect_source(connection, source)
        require_columns(table, (definition.key, *columns))
        known = select(outcomes.c.record_key).where(outcomes.c.scored_job_id == job_id, outcomes.c.id % one_in == 0)
        key = cast(table.c[definition.key], Text)
        statement = select(key.label(RECORD_KEY), *(table.c[name] for name in columns)).where(key.in_(known))
        return fetch_frame(engine, statement).drop_duplicates(RECORD_KEY).reset_index(drop=True)
