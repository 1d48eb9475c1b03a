"""What a model reads of a record's events: tables of events, and the aggregates that become fields of the record."""

import dataclasses
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

Kind = Literal["numeric", "categorical"]

MOST_EVENTS = 256  # of a record that a network of events reads, unless the portfolio says otherwise

Measure = Literal[
    "count",
    "share",
    "sum",
    "mean",
    "smallest",
    "largest",
    "deviation",
    "newest",
    "change",
    "slope",
    "days_since_last",
    "days_since_first",
    "mean_days_since",
    "mean_gap",
    "overdue",
    "distinct",
    "followed",
    "name",
    "order",
]


@dataclass(frozen=True)
class EventValue:
    """One column of an event. `missing_codes` are values that mean "not known"."""

    name: str
    kind: Kind
    missing_codes: tuple[float | str, ...] = ()


@dataclass(frozen=True)
class Aggregate:
    """One value that is made of a record's events, and the field that it becomes.

    Only events count that have `name` in the column `among` and are at most `days` old; None means any. `value` is the
    column that is summed, averaged and so on. For `followed`, `then` is the name in the same column of an event within
    a day after one of `name`; `part` is the quarter of the day of the event that is counted. `place` says for `name`
    which of the newest events is meant, 0 for the last. `network` is the text of the network of events that makes
    `order` (see `transformer.events.event_network`).
    """

    field: str
    measure: Measure
    value: str | None = None
    among: str | None = None
    name: str | None = None
    days: float | None = None
    then: str | None = None
    part: int | None = None
    place: int = 0
    network: str | None = dataclasses.field(default=None, repr=False)

    @property
    def kind(self) -> Kind:
        """The kind of the field."""
        return "categorical" if self.measure == "name" else "numeric"


@dataclass(frozen=True)
class EventTable:
    """A table of events, the column that says what happened, its values, and the aggregates that a model reads.

    Without `aggregates` none have been chosen yet. Events `window_days` before the moment, and older ones, are not
    read. A network of events reads the newest `most`.
    """

    name: str
    type: str | None = None
    values: tuple[EventValue, ...] = ()
    window_days: float | None = None
    aggregates: tuple[Aggregate, ...] = ()
    most: int = dataclasses.field(default=MOST_EVENTS, compare=False)  # bundles made before it was read do not have it

    @property
    def numbers(self) -> tuple[str, ...]:
        """The columns that hold numbers."""
        return tuple(one.name for one in self.values if one.kind == "numeric")

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that hold names, the type first."""
        own = () if self.type is None else (self.type,)
        return own + tuple(one.name for one in self.values if one.kind == "categorical")

    def to_document(self) -> dict[str, Any]:
        """Return a JSON document; what a table has not got is left out, so that older tables keep their document."""
        document = asdict(self)
        if self.most == MOST_EVENTS:
            del document["most"]
        for one in document["aggregates"]:
            if one["network"] is None:
                del one["network"]
        return document

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """Read back what `to_document` wrote, or the same after a way through JSON."""
        values = tuple(EventValue(one["name"], one["kind"], tuple(one["missing_codes"])) for one in document["values"])
        aggregates = tuple(Aggregate(**one) for one in document["aggregates"])
        most = document.get("most", MOST_EVENTS)
        return cls(document["name"], document["type"], values, document["window_days"], aggregates, most)
