"""What the network must know of a record: its fields, its behaviour history, and its events."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self

from transformer.records.event_schema import EventTable

Kind = Literal["numeric", "categorical"]
Reading = tuple[Kind, tuple[float | str, ...]]


@dataclass(frozen=True)
class Field:
    """One column of the record. `missing_codes` are values that mean "not known"."""

    name: str
    kind: Kind
    missing_codes: tuple[float | str, ...] = ()


@dataclass(frozen=True)
class History:
    """One behaviour over time: a column per period, oldest first."""

    name: str
    kind: Kind
    columns: tuple[str, ...]
    missing_codes: tuple[float | str, ...] = ()


@dataclass(frozen=True)
class RecordSchema:
    """Fields and histories of a record, and tables of its events. All histories have equal length S.

    The aggregates of the events are among the fields, after those that stand in the record itself.
    """

    fields: tuple[Field, ...]
    histories: tuple[History, ...] = ()
    events: tuple[EventTable, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Every input column: fields first, then each history's, oldest first."""
        return tuple(one.name for one in self.fields) + tuple(name for one in self.histories for name in one.columns)

    @property
    def event_fields(self) -> frozenset[str]:
        """The fields that are made of events."""
        return frozenset(one.field for table in self.events for one in table.aggregates)

    @property
    def source_columns(self) -> tuple[str, ...]:
        """The columns that stand in the record itself, in the order of `columns`."""
        made = self.event_fields
        return tuple(name for name in self.columns if name not in made)

    def with_aggregates(self, tables: tuple[EventTable, ...]) -> Self:
        """Return the schema that reads these aggregates of the events, and no others."""
        made = self.event_fields
        own = tuple(one for one in self.fields if one.name not in made)
        new = tuple(Field(one.field, one.kind) for table in tables for one in table.aggregates)
        return replace(self, fields=own + new, events=tables)

    @property
    def without_aggregates(self) -> Self:
        """The schema as it is before aggregates of the events are chosen."""
        return self.with_aggregates(tuple(replace(one, aggregates=()) for one in self.events))

    @property
    def steps(self) -> int:
        """S, the number of periods; 0 without history."""
        return len(self.histories[0].columns) if self.histories else 0

    @property
    def readings(self) -> Mapping[str, Reading]:
        """Kind and missing codes of each input column."""
        found: dict[str, Reading] = {one.name: (one.kind, one.missing_codes) for one in self.fields}
        for history in self.histories:
            found |= dict.fromkeys(history.columns, (history.kind, history.missing_codes))
        return found

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the canonical JSON, in hexadecimal."""
        text = json.dumps(self.to_document(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def to_document(self) -> dict[str, Any]:
        """Return a JSON document that `from_document` reads back."""
        document = asdict(self)
        document["events"] = [one.to_document() for one in self.events]
        if not self.events:  # as before there were any: the fingerprint stays
            del document["events"]
        return document

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """Read back what `to_document` wrote, or the same after a way through JSON."""
        fields = tuple(Field(one["name"], one["kind"], tuple(one["missing_codes"])) for one in document["fields"])
        histories = tuple(
            History(one["name"], one["kind"], tuple(one["columns"]), tuple(one["missing_codes"]))
            for one in document["histories"]
        )
        events = tuple(EventTable.from_document(one) for one in document.get("events", ()))
        return cls(fields, histories, events)
