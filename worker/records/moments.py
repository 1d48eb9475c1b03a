"""When each record is judged: nothing later may be read for it."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from db.ledger.job_lifecycle import Job
from db.portfolios.definition import PortfolioDefinition
from db.sources.event_times import SECOND, UNREADABLE, as_microseconds, read_times

DAY = 86_400 * SECOND
_DATE_ALONE = r"\s*\d{4}-\d{2}-\d{2}\s*"


def moments_of(frame: pd.DataFrame, definition: PortfolioDefinition, night: date) -> NDArray[np.int64]:
    """Return the moment of each record in microseconds since 1970; `UNREADABLE` where its column holds no time.

    Times are read as those of events are, but for a date alone: the moment is the end of that day. Without a column of
    moments it is the end of the night's date, in UTC.
    """
    column = definition.moment_column
    return np.full(len(frame), end_of_day(night)) if column is None else moments_of_column(frame[column])


def moments_of_column(texts: "pd.Series[Any]") -> NDArray[np.int64]:
    """Return the moments of a column as `moments_of` does."""
    found = read_times(texts)
    if texts.dtype.kind not in "iufM" and not isinstance(texts.dtype, pd.DatetimeTZDtype):
        is_date = texts.astype("str").str.fullmatch(_DATE_ALONE).to_numpy(dtype=bool, na_value=False)
        found = np.where(is_date & (found != UNREADABLE), found + DAY - 1, found)
    return found


def date_of_night(job: Job) -> date:
    """Return the date of a job's records: as given, or else the day of submission."""
    return job.definition.monitoring.date_of(job.options, job.created_at)


def end_of_day(day: date) -> int:
    """Return the last microsecond of a day in UTC."""
    return as_microseconds(datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)) - 1
