"""Joins records with their outcomes: the source's target, and the outcomes that were loaded later."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from db.connections.engine import Engine, reading
from db.portfolios.definition import PortfolioDefinition
from db.registry.versions import LearnedUntil
from db.retraining.outcomes import read_usable_outcomes
from db.retraining.usable_outcomes import find_maturity
from db.sources.source_table import RECORD_KEY

_DATE = re.compile(r"\d{4}(-\d\d){1,2}(?!\d)")  # a day or a month, maybe with a time

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Labels:
    """The labels of N records, one row each.

    `target` is 1.0, 0.0 or NaN (not known, not final, or not trusted); `dates` say since when, as sortable text ("" if
    not known); `outcome_ids` are 0 where the source's target gives it; `scored_jobs` are the scoring jobs that they
    judge, 0 if there is none.
    """

    target: Floats
    dates: NDArray[np.str_]
    outcome_ids: NDArray[np.int64]
    scored_jobs: NDArray[np.int64]

    def part(self, rows: NDArray[Any]) -> "Labels":
        """Return the labels of some rows."""
        return Labels(self.target[rows], self.dates[rows], self.outcome_ids[rows], self.scored_jobs[rows])

    def newest(self, rows: NDArray[Any]) -> LearnedUntil:
        """Return the newest of some rows; a label that may not be used counts for nothing."""
        rows = rows[~np.isnan(self.target[rows])]
        ids, dates = self.outcome_ids[rows], self.dates[rows]
        from_source, loaded = dates[ids == 0], dates[ids > 0]
        latest = [str(max(some.tolist(), default="")) for some in (loaded, from_source)]
        return LearnedUntil(int(ids.max(initial=0)), *latest)

    def is_newer_than(self, learned: LearnedUntil, *, after_job: int = 0) -> NDArray[np.bool_]:
        """Whether a model trained until then was not trained on each label.

        With `after_job`, only labels of a later scoring job count, or of none.
        """
        is_loaded = self.outcome_ids > learned.outcome_id
        is_loaded &= (self.scored_jobs == 0) | (self.scored_jobs > after_job)
        as_of = learned.as_of
        is_later = (self.outcome_ids == 0) & (self.dates > as_of) if as_of else np.zeros(len(is_loaded), dtype=bool)
        return (is_loaded | is_later) & ~np.isnan(self.target)


def join_outcomes(engine: Engine, definition: PortfolioDefinition, records: pd.DataFrame, target: Floats) -> Labels:
    """Return the labels of records; a loaded outcome overrides the source's target.

    A record gets its newest outcome that may be used, and no label if it has only others: outcomes that are not final
    (`outcome_after`) or that are not trusted. Without a scoring job, the record's `as_of` says how old an outcome is.
    """
    known = read_usable_outcomes(engine, definition.name).set_index("record_key")
    found = known.index.get_indexer(pd.Index(records[RECORD_KEY], dtype="object"))
    has_outcome = found >= 0
    rows = known.iloc[found[has_outcome]]
    as_of = np.full(len(records), "", dtype=object)
    if definition.as_of is not None:
        times = records[definition.as_of]
        as_of = times.astype("object").where(times.notna(), "").map(str).to_numpy(dtype=object)
    dates = as_of.copy()
    ids, scored = np.zeros(len(records), dtype=np.int64), np.zeros(len(records), dtype=np.int64)
    joined = target.copy()
    is_usable = rows["is_usable"].to_numpy(dtype=bool)
    joined[has_outcome] = np.where(is_usable, rows["outcome"].to_numpy(dtype=np.float64), np.nan)
    dates[has_outcome] = rows["outcome_date"].to_numpy(dtype=object)
    ids[has_outcome] = rows["outcome_id"].to_numpy(dtype=np.int64)
    scored[has_outcome] = rows["scored_job"].to_numpy(dtype=np.int64)
    with reading(engine) as connection:
        until = find_maturity(connection, definition).until
    if until is not None:
        joined[(scored == 0) & _is_after(as_of, until.isoformat())] = np.nan
    return Labels(joined, dates.astype(np.str_), ids, scored)


def _is_after(times: NDArray[np.object_], day: str) -> NDArray[np.bool_]:
    """Whether each text is a date after this one; a text of another form is not."""
    return np.array([bool(_DATE.match(one)) and one[:10] > day for one in times], dtype=bool)
