"""The labelled records that a champion can read, and which of them are new to it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from db.connections.engine import Engine, reading
from db.portfolios.definition import PortfolioDefinition
from db.registry.versions import ModelVersion
from db.retraining.realised_nights import population_of
from transformer.bundles.bundle import LoadedModel
from transformer.records.record_store import RecordStore, chunks_of
from transformer.records.schema import RecordSchema
from transformer.training.fine_tuning import Material, unreadable_rows
from worker.gate.evidence import Parts
from worker.learning.book_reading import read_labelled
from worker.learning.lesson_plan import TrainingPlan
from worker.learning.outcome_labels import Labels
from worker.records.event_reading import require_events
from worker.runtime.context import WorkerContext
from worker.runtime.heartbeat import Heartbeat

MOST_SEGMENT_VALUES = 20


@dataclass(frozen=True)
class Records:
    """Every labelled record that can be read, one row each; `is_new` where the champion was not trained on it.

    `groups` is what a hash chooses sides by: the entity if the portfolio names one, else the key.
    """

    store: RecordStore
    keys: NDArray[np.object_]
    groups: NDArray[np.object_]
    labels: Labels
    is_new: NDArray[np.bool_]

    def labelled_part(self, rows: NDArray[np.int64]) -> Material:
        """Return some of the records with their outcomes and keys."""
        return Material(self.store.take(rows), self.labels.target[rows], self.keys[rows])


def read_records(  # noqa: PLR0913 - by name
    context: WorkerContext,
    definition: PortfolioDefinition,
    champion: LoadedModel,
    parent: ModelVersion,
    heartbeat: Heartbeat,
    *,
    after_job: int = 0,
    with_own: bool = False,
) -> Records:
    """Read the labelled records that the champion can read; for equal keys the first one.

    New records are those that `parent` was not trained on and that were scored after the job `after_job`. `with_own`
    reads the columns of the present definition too, for a model that is not the champion's child.
    Raises `EventsMissingError` for events that the portfolio no longer has.
    """
    require_events(definition, champion.schema)
    own = definition.input_columns if with_own else ()
    columns = tuple(dict.fromkeys((*champion.schema.source_columns, *own, *definition.segments)))
    known = read_labelled(context, definition, columns, heartbeat)
    store = known.records.reading(champion.schema)
    is_usable = ~np.isnan(known.labels.target)
    for place, frame in chunks_of(store, champion.schema.columns):
        is_usable[place.start + unreadable_rows(champion, frame)] = False
    rows = np.flatnonzero(is_usable)
    labels, keys = known.labels.part(rows), known.keys[rows]
    is_new = labels.is_newer_than(parent.learned_until, after_job=after_job)
    groups = keys if known.entity is None else known.entity[rows]
    return Records(store.part(rows), keys, groups, labels, is_new)


def parts_of(records: Records, plan: TrainingPlan, segments: tuple[str, ...]) -> Parts:
    """Return the records that judge a challenger: the new ones first, then the old ones."""
    rows = np.concatenate([plan.judging, plan.old_judging])
    judging, old = np.arange(len(plan.judging)), np.arange(len(plan.judging), len(rows))
    labelled = records.labelled_part(rows)
    masks = _segment_masks(labelled.frame.iloc[judging], segments)
    dates = (plan.learned_date, plan.judging_date)

    def read(schema: RecordSchema) -> pd.DataFrame:
        return records.store.reading(schema).take(rows)

    known = labelled.frame, labelled.target, judging, old
    return Parts(*known, *dates, masks, is_random=plan.is_random, read=read)


def describe_population(engine: Engine, portfolio: str, records: Records, judging: NDArray[np.int64]) -> str:
    """Return a sentence about whom the judging records stand for; empty if none of them belongs to a night."""
    jobs = np.unique(records.labels.scored_jobs[judging])
    if not (jobs > 0).any():
        return ""
    with reading(engine) as connection:
        return population_of(connection, portfolio, jobs[jobs > 0].tolist()).sentence


def _segment_masks(judging: pd.DataFrame, segments: tuple[str, ...]) -> dict[str, NDArray[np.bool_]]:
    """A mask for each of the most frequent values of each segment column."""
    masks: dict[str, NDArray[np.bool_]] = {}
    for column in segments:
        values = judging[column].astype("object")
        for value in values.value_counts().index[:MOST_SEGMENT_VALUES]:
            masks[f"{column}={value}"] = (values == value).to_numpy(dtype=bool)
    return masks
