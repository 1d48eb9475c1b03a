"""What the network must know of a record: its fields, and its behaviour history."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

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
    """Fields and histories of a record. All histories have equal length S."""

    fields: tuple[Field, ...]
    histories: tuple[History, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Every input column: fields first, then each history's, oldest first."""
        return tuple(one.name for one in self.fields) + tuple(name for one in self.histories for name in one.columns)

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
        return asdict(self)

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """Read back what `to_document` wrote, or the same after a way through JSON."""
        fields = tuple(Field(one["name"], one["kind"], tuple(one["missing_codes"])) for one in document["fields"])
        histories = tuple(
            History(one["name"], one["kind"], tuple(one["columns"]), tuple(one["missing_codes"]))
            for one in document["histories"]
        )
        return cls(fields, histories)
