"""Whether a network of events tells more than aggregates, found on records that neither has learnt from.

The network's logit becomes a field like an aggregate. Of a record that is learnt from, it is the logit of a network
that has not seen this record; of all others that of the last network, which has learnt from all folds.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transformer.events.aggregate_choice import Bench, Trial, is_better
from transformer.events.event_columns import EventColumns
from transformer.events.event_network import network_of
from transformer.events.event_tokens import TokenForm
from transformer.events.event_training import EventTrainer, predict
from transformer.records.event_schema import Aggregate, EventTable
from transformer.records.learning_folds import LearningFolds
from transformer.records.schema import Field

LEAST_RECORDS = 1_000  # of fewer a network learns nothing that trees do not see
LEAST_EVENTS = 4  # of a record on average: fewer have no order to speak of
PROOF = 2.0  # standard errors: a network costs as much time as all the rest of scoring, and so has to be proven
SHARES = (0.2, 0.4)  # of the network in a mixture with trees, to see early whether it helps
_SEED = 11

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Document = dict[str, Any]


@dataclass(frozen=True)
class Learning:
    """N rows of a book that may be learnt from, their outcomes (N) and folds; `others` are rows without an outcome."""

    rows: Rows
    target: Floats
    folds: LearningFolds
    others: Rows

    @property
    def pairs(self) -> list[tuple[Rows, Rows]]:
        """The places among the N to learn from, and to look at, of each fold."""
        return self.folds.pairs()


@dataclass(frozen=True)
class Order:
    """What a network makes of a table's events, and its values (N) for the rows that it has learnt from."""

    aggregate: Aggregate
    values: Floats


def choose_order(
    bench: Bench, usual: Trial, table: EventTable, events: EventColumns, learning: Learning, places: Rows
) -> tuple[Order | None, Document]:
    """Return the field of one table if it helps trees, and a JSON document of what was tried.

    `usual` are the trees without it; their sample are the rows of `learning` at some `places`. After the first fold the
    network is given up if no mixture of it with the trees is better than the trees.
    """
    few = len(learning.rows) < LEAST_RECORDS
    if few or np.diff(events.starts)[learning.rows].mean() < LEAST_EVENTS:
        return None, {"taken": False, "why": "too few records" if few else "too few events in a record"}
    trainer = _make_trainer(table, events, learning, bench.on_batch)
    (learn, look), *others = learning.pairs
    network, seen = trainer.fit_until_best(learn, learning.target, look)
    values = np.full(len(learning.rows), np.nan)
    values[look] = seen
    if not _may_help(values[places], usual.logits, bench.sample.target):
        return None, {"taken": False, "why": "no better than trees alone in the first fold", "steps": network.steps}
    _cross(trainer, learning, others, network.steps, values)
    field = f"{table.name}.order"
    rival = bench.with_column(Field(field, "numeric"), values[places]).grow(usual.tables)
    report = {"steps": network.steps, "log_loss": [float(one.losses.mean()) for one in (usual, rival)]}
    if not is_better(rival.losses, usual.losses, level=PROOF):
        return None, {"taken": False, "why": "trees with it are no better", **report}
    last = trainer.fit(np.arange(len(learning.rows)), learning.target, network.steps)
    return Order(Aggregate(field, "order", network=last.to_text()), values), {"taken": True, **report}


def cross_again(
    aggregate: Aggregate, table: EventTable, events: EventColumns, learning: Learning, on_batch: Callable[[], None]
) -> Order:
    """Return a field that is known, with values of networks that have not seen each row."""
    assert aggregate.network is not None, "a network makes the order"
    values = np.full(len(learning.rows), np.nan)
    trainer = _make_trainer(table, events, learning, on_batch)
    _cross(trainer, learning, learning.pairs, network_of(aggregate.network).steps, values)
    return Order(aggregate, values)


def _make_trainer(
    table: EventTable, events: EventColumns, learning: Learning, on_batch: Callable[[], None]
) -> EventTrainer:
    """Return a trainer of the rows to learn from, and of those without an outcome if there are more of them."""
    form = TokenForm.fit(table, events.take(learning.rows))
    more = learning.others if len(learning.others) > len(learning.rows) else learning.others[:0]
    rows = np.concatenate([learning.rows, more])
    trainer = EventTrainer.new(form, form.read(events.take(rows)), _SEED, on_batch)
    return trainer.pretrained(np.arange(len(rows))) if len(more) else trainer


def _cross(
    trainer: EventTrainer, learning: Learning, pairs: list[tuple[Rows, Rows]], steps: int, values: Floats
) -> None:
    """Fill in the logits of the rows of some folds."""
    for learn, look in pairs:
        values[look] = predict(trainer.fit(learn, learning.target, steps), trainer.tokens, look)


def _may_help(order: Floats, trees: Floats, target: Floats) -> bool:
    """Whether a mixture is better than the trees (N) on the rows for which the network's logit (N) is known."""
    known = ~np.isnan(order) & ~np.isnan(trees)
    sign = np.where(target[known] == 1, -1.0, 1.0)
    alone, *mixed = (
        np.logaddexp(0, sign * ((1 - share) * trees[known] + share * order[known])) for share in (0.0, *SHARES)
    )
    return is_better(min(mixed, key=np.mean), alone)


def with_orders(tables: tuple[EventTable, ...], orders: dict[str, Order]) -> tuple[EventTable, ...]:
    """Return the tables with these fields beside their other aggregates."""
    return tuple(
        replace(one, aggregates=(*one.aggregates, orders[one.name].aggregate)) if one.name in orders else one
        for one in tables
    )


def sample_places(rows: Rows, most: int) -> Rows:
    """Return the places of at most so many of the rows, drawn by chance and in order."""
    if len(rows) <= most:
        return np.arange(len(rows))
    return np.sort(np.random.default_rng(0).permutation(len(rows))[:most])
