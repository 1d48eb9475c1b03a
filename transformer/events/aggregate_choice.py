"""Chooses the aggregates that a model reads, by records that it learns from.

Trees are grown on each larger family of aggregates, and on the best ones of it, in every fold on the other folds. What
has the least log loss on records that the trees had not seen is chosen; the smaller choice where two are level.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from transformer.branches.tree_boosting import Booster
from transformer.events.aggregation import make_aggregates
from transformer.events.candidates import Families, list_candidates
from transformer.events.event_columns import EventColumns
from transformer.fitting.examples import Examples
from transformer.network.architecture import tree_inputs
from transformer.network.layers.oblivious_trees import ObliviousTrees
from transformer.records.column_reading import read_columns
from transformer.records.event_schema import Aggregate, EventTable
from transformer.records.features import FeatureTransform
from transformer.records.learning_folds import LearningFolds
from transformer.records.schema import Field, RecordSchema

CHOICE_ROWS = 8_000  # records that the choice is made on; more hardly change it
SIZES = (48, 160)  # aggregates that a model reads at most, in all tables together
RATE, TREES = 0.05, 300  # faster ones do not see what richer aggregates are worth
WATCHED = ("count", "days_since_last")  # read of every table, so that the monitor sees a feed that stops
LEVEL = 0.5  # standard errors that a larger family must be better by
_SEED = 11

Floats = NDArray[np.float64]
Tables = tuple[EventTable, ...]


@dataclass(frozen=True)
class Sample:
    """N records that the choice is made on: their own columns, their events, outcomes and folds."""

    frame: pd.DataFrame
    events: dict[str, EventColumns]
    target: Floats
    folds: LearningFolds


@dataclass(frozen=True)
class Choice:
    """The tables with the aggregates chosen, and a JSON document of what was tried, for the model card."""

    tables: Tables
    report: dict[str, Any]
    bench: "Bench"


def choose_aggregates(
    sample: Sample, schema: RecordSchema, on_batch: Callable[[], None] = lambda: None, *, quick: bool = False
) -> Choice:
    """Choose the aggregates of all event tables of a schema together. The same sample gives the same choice.

    A `quick` choice takes the best few of the first two families, by one fold alone.
    """
    families = {table.name: list_candidates(table, sample.events[table.name]) for table in schema.events}
    bare = schema.without_aggregates
    bench = Bench(sample, bare, on_batch, quick=quick)
    taken, trial = _take_first(bench, families) if quick else _choose_families(bench, families)
    tables = _tables_of(bare.events, families, taken)
    chosen, sizes = (_keep(tables, trial.gains, SIZES[0]), {}) if quick else _choose_size(bench, tables, trial)
    report = {
        "families": list(taken),
        "aggregates": [one.field for one in _all(chosen)],
        "log_loss_by_size": sizes,
        "candidates": len(_all(tables)),
        "records": len(sample.target),
    }
    return Choice(chosen, report, bench)


def _take_first(bench: "Bench", families: dict[str, Families]) -> tuple[tuple[str, ...], "Trial"]:
    taken = tuple(next(iter(families.values())))[:2]
    return taken, bench.grow(_tables_of(bench.bare.events, families, taken))


def _choose_families(bench: "Bench", families: dict[str, Families]) -> tuple[tuple[str, ...], "Trial"]:
    """Return the families that help, each tried beside those before it that did, and the trial of all these."""
    names = [name for name in next(iter(families.values())) if any(own[name] for own in families.values())]
    taken = (names[0],)
    trial = bench.grow(_tables_of(bench.bare.events, families, taken))
    for name in names[1:]:
        rival = bench.grow(_tables_of(bench.bare.events, families, (*taken, name)))
        if is_better(rival.losses, trial.losses):
            taken, trial = (*taken, name), rival
    return taken, trial


def _choose_size(bench: "Bench", tables: Tables, trial: "Trial") -> tuple[Tables, dict[str, float]]:
    """Return the tables with as many of the best aggregates as help, and the log loss of each number of them."""
    count = len(_all(tables))
    tried = {size: bench.grow_best(tables, trial, size).losses for size in SIZES if size < count}
    if count <= SIZES[-1]:
        tried[count] = trial.losses
    chosen, *larger = tried
    for size in larger:
        if is_better(tried[size], tried[chosen]):
            chosen = size
    return _keep(tables, trial.gains, chosen), {str(size): float(one.mean()) for size, one in tried.items()}


def _tables_of(tables: Tables, families: dict[str, Families], taken: tuple[str, ...]) -> Tables:
    """Return the tables with the aggregates of some families."""
    return tuple(
        replace(one, aggregates=tuple(each for name in taken for each in families[one.name][name])) for one in tables
    )


def _all(tables: Tables) -> list[Aggregate]:
    return [one for table in tables for one in table.aggregates]


def is_better(losses: Floats, than: Floats, *, level: float = LEVEL) -> bool:
    """Whether the mean loss is smaller by more than `level` standard errors."""
    gain = than - losses
    return bool(gain.mean() > level * gain.std() / np.sqrt(len(gain)))


def _keep(tables: Tables, gains: dict[str, float], size: int) -> Tables:
    """Return the tables with the aggregates of the largest gains, in their order, and those that show a dead feed."""
    kept = set(sorted((name for name in gains if gains[name] > 0), key=lambda name: (-gains[name], name))[:size])
    kept |= {f"{table.name}.{measure}" for table in tables for measure in WATCHED}
    return tuple(
        replace(one, aggregates=tuple(each for each in one.aggregates if each.field in kept)) for one in tables
    )


@dataclass(frozen=True)
class Trial:
    """Trees on the aggregates of `tables`: losses, logits (N), and what each field gained in all folds and in each.

    Losses stand in the order of the folds; the logit of a record that was not looked at is NaN.
    """

    tables: Tables
    losses: Floats
    logits: Floats
    gains: dict[str, float]
    by_fold: list[dict[str, float]]


@dataclass(frozen=True)
class Bench:
    """Grows trees on aggregates of a sample, in every fold on the other folds; `bare` is the schema without them."""

    sample: Sample
    bare: RecordSchema
    on_batch: Callable[[], None]
    quick: bool = False

    @property
    def pairs(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """The rows of each fold to learn from, and to look at; of a quick choice the last fold alone."""
        pairs = self.sample.folds.pairs()
        return pairs[-1:] if self.quick else pairs

    def with_column(self, field: Field, values: Floats) -> "Bench":
        """Return a bench whose records (N) have one more field."""
        sample = replace(self.sample, frame=self.sample.frame.assign(**{field.name: values}))
        return replace(self, sample=sample, bare=replace(self.bare, fields=(*self.bare.fields, field)))

    def grow(self, tables: Tables) -> Trial:
        """Grow trees on all aggregates of some tables."""
        return self._grow([tables] * len(self.pairs))

    def grow_best(self, tables: Tables, trial: Trial, size: int) -> Trial:
        """Grow trees on the best ones alone; each fold takes those that were best without it."""
        return self._grow([_keep(tables, gains, size) for gains in trial.by_fold])

    def _grow(self, by_fold: list[Tables]) -> Trial:
        losses, logits = list[Floats](), np.full(len(self.sample.target), np.nan)
        gains: list[dict[str, float]] = []
        known: tuple[Tables, Examples, FeatureTransform] | None = None
        for (learn, look), tables in zip(self.pairs, by_fold, strict=True):
            if known is None or known[0] is not tables:
                known = (tables, *self._read(tables))
            _, examples, transform = known
            booster = Booster(tree_inputs(transform), _SEED, self.on_batch)
            booster = booster.hurried() if self.quick else replace(booster, rate=RATE, most=TREES)
            grove = booster.choose(examples.take(learn), examples.take(look))
            sign = np.where(examples.target[look] == 1, -1, 1)
            losses.append(np.logaddexp(0, sign * grove.logits))
            logits[look] = grove.logits
            gains.append(_gains_of(grove.trees, transform))
        total = {name: sum(one.get(name, 0.0) for one in gains) for name in {name for one in gains for name in one}}
        return Trial(by_fold[-1], np.concatenate(losses), logits, total, gains)

    def _read(self, tables: Tables) -> tuple[Examples, FeatureTransform]:
        schema = self.bare.with_aggregates(tables)
        made = [make_aggregates(self.sample.events[one.name], one.aggregates) for one in tables]
        frame = pd.concat([self.sample.frame.reset_index(drop=True), *made], axis=1)
        arrays, _ = read_columns(frame, schema)
        transform = FeatureTransform.fit(arrays, schema)
        return Examples(transform.transform(arrays), self.sample.target, None, self.sample.folds), transform


def _gains_of(trees: ObliviousTrees, transform: FeatureTransform) -> dict[str, float]:
    """Return what each field's questions part: the mean square of the difference of the leaves on their two sides."""
    fields = [one.name for one in transform.schema.fields if one.kind == "numeric"]
    fields += [column for one in transform.schema.histories if one.kind == "numeric" for column in one.columns]
    names = [one.name for one in transform.schema.fields if one.kind == "categorical"]
    names += [column for one in transform.schema.histories if one.kind == "categorical" for column in one.columns]
    together = [[names[int(place)] for place in one[:3] if place >= 0] for one in trees.names.together.tolist()]
    owners = [[one] for one in (*fields, *fields, *names, *names)] + together
    gains: dict[str, float] = {}
    depth = trees.column.shape[1] if len(trees) else 0
    for level in range(depth):
        sides = trees.leaf.reshape(len(trees), 1 << level, 2, -1)
        parted = ((sides[:, :, 1] - sides[:, :, 0]) ** 2).mean(axis=(1, 2))
        for column, gain in zip(trees.column[:, level].tolist(), parted.tolist(), strict=True):
            for owner in owners[column]:
                gains[owner] = gains.get(owner, 0.0) + gain / len(owners[column])
    return gains
