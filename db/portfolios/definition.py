"""The definition of a portfolio as values: the content of the TOML file, validated, without SQL."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any, Literal, Self

from db.errors import NotFoundError
from db.portfolios.monitoring_policy import MonitoringPolicy
from db.portfolios.privacy_policy import PrivacyPolicy
from db.portfolios.retraining_policy import RetrainingPolicy

ReasonsReference = Literal["population", "good"]


class FieldKind(StrEnum):
    """How a value is read: a number, or one of a set of names."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"


@dataclass(frozen=True)
class FieldDefinition:
    """One column of the record. `missing_codes` are values that mean "not known"; `reason` is its text in a letter."""

    name: str
    kind: FieldKind
    missing_codes: tuple[float | str, ...] = ()
    reason: str | None = None


@dataclass(frozen=True)
class HistoryDefinition:
    """One behaviour over time: a column per period, oldest first."""

    name: str
    kind: FieldKind
    columns: tuple[str, ...]
    missing_codes: tuple[float | str, ...] = ()
    reason: str | None = None


@dataclass(frozen=True)
class EventsDefinition:
    """A table or view of events: any number of rows for each record, each with its time.

    `key` holds the portfolio's key, `at` the time of the event, `type` what happened. Only events within
    `window_days` before a record's moment are read; of these `most` at most enter a sequence.
    """

    name: str
    source: str
    key: str
    at: str
    type: str | None = None
    window_days: float | None = None
    most: int = 256
    fields: tuple[FieldDefinition, ...] = ()
    reasons: tuple[tuple[str, str], ...] = ()  # the text for each group of events that has one

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of an event beside its key and its time."""
        return (() if self.type is None else (self.type,)) + tuple(one.name for one in self.fields)


@dataclass(frozen=True)
class ScoreScale:
    """Points of a scorecard: `points` at odds `odds`:1 (good:bad); `points_to_double` more double the odds."""

    points: float = 600.0
    odds: float = 50.0
    points_to_double: float = 20.0


@dataclass(frozen=True)
class Source:
    """A table or view as a portfolio names it. It is read only where it is granted to that portfolio."""

    portfolio: str
    name: str


@dataclass(frozen=True)
class PortfolioDefinition:
    """A named book of records: where it lives, what its columns mean, how its scores are reported."""

    name: str
    title: str
    source: str
    key: str
    target: str | None = None
    as_of: str | None = None
    entity: str | None = None  # records of the same one are never on both sides of a split that a hash makes
    score: ScoreScale = field(default_factory=ScoreScale)
    reject_budget: float = 0.01
    running_shards: int | None = None  # of scoring jobs, at once; None: as many as there are workers
    fields: tuple[FieldDefinition, ...] = ()
    histories: tuple[HistoryDefinition, ...] = ()
    events: tuple[EventsDefinition, ...] = ()
    moment: str | None = None  # when each record is judged: no later event is read; None: `as_of`, else the night's end
    segments: tuple[str, ...] = ()
    monitoring: MonitoringPolicy = field(default_factory=MonitoringPolicy)
    reasons_reference: ReasonsReference = "population"
    retraining: RetrainingPolicy = field(default_factory=RetrainingPolicy)
    privacy: PrivacyPolicy = field(default_factory=PrivacyPolicy)

    @property
    def input_columns(self) -> tuple[str, ...]:
        """Columns the network reads: fields first, then every history's columns, in file order."""
        history_columns = tuple(column for history in self.histories for column in history.columns)
        return tuple(one.name for one in self.fields) + history_columns

    @property
    def reason_texts(self) -> dict[str, str]:
        """The text of each reason code that the portfolio gives one."""
        texts = {one.name: one.reason for one in self.fields}
        texts |= {f"{one.name}[{column}]": one.reason for one in self.histories for column in one.columns}
        return {code: text for code, text in texts.items() if text is not None}

    @property
    def learning_source(self) -> str:
        """The table or view that holds the records to learn from, as they were when they were scored."""
        return self.retraining.records or self.source

    @property
    def records(self) -> Source:
        """The source, to be read for this portfolio."""
        return Source(self.name, self.source)

    @property
    def learning_records(self) -> Source:
        """The learning source, to be read for this portfolio."""
        return Source(self.name, self.learning_source)

    def events_of(self, events: EventsDefinition) -> Source:
        """The source of an event table, to be read for this portfolio."""
        return Source(self.name, events.source)

    @property
    def named_sources(self) -> dict[Source, tuple[str, ...]]:
        """Every source that the definition names, with the columns that hold the key of a record."""
        keys: dict[Source, tuple[str, ...]] = {self.records: (self.key,), self.learning_records: (self.key,)}
        for one in self.events:
            source = self.events_of(one)
            keys[source] = tuple(dict.fromkeys((*keys.get(source, ()), one.key)))
        return keys

    @property
    def own_columns(self) -> tuple[str, ...]:
        """The columns beside the inputs that a record of the learning source has, the key first."""
        named = (self.key, self.target, self.as_of, self.moment, self.entity)
        return tuple(dict.fromkeys(name for name in named if name is not None))

    @property
    def time_columns(self) -> tuple[str, ...]:
        """The columns of a record that hold a date or a time."""
        return tuple(dict.fromkeys(name for name in (self.as_of, self.moment) if name is not None))

    @property
    def scored_columns(self) -> tuple[str, ...]:
        """The columns that scoring reads beside the key: the inputs, and with events the moment of each record."""
        moment = self.moment_column if self.events else None
        return self.input_columns if moment is None else (*self.input_columns, moment)

    def require_events(self, name: str) -> EventsDefinition:
        """Return the event table of this name. Raises `NotFoundError` with the existing names."""
        found = next((one for one in self.events if one.name == name), None)
        if found is None:
            known = tuple(one.name for one in self.events)
            advice = "" if known else f"The portfolio {self.name} has none: add a section [events.{name}] to its file"
            raise NotFoundError("event table", name, known, advice)
        return found

    @property
    def moment_column(self) -> str | None:
        """The column that says when a record is judged; without one it is the end of the night's date."""
        return self.moment or self.as_of

    @property
    def column_kinds(self) -> dict[str, FieldKind]:
        """The kind of each input column."""
        kinds = {one.name: one.kind for one in self.fields}
        return kinds | {column: one.kind for one in self.histories for column in one.columns}

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the definition, in hexadecimal; the same definition always gives the same one."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """Return a canonical JSON text (sorted names, no blanks) that `from_json` reads back."""
        document = asdict(self)
        for name in ("events", "moment"):  # definitions without them keep the fingerprint that they always had
            if not document[name]:
                del document[name]
        return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    @lru_cache(maxsize=64)  # jobs and models of a portfolio hold the same text
    def from_json(cls, text: str) -> Self:
        """Read back what `to_json` wrote."""
        document: dict[str, Any] = json.loads(text)
        score = ScoreScale(**document.pop("score"))
        fields = tuple(_read_field(one) for one in document.pop("fields"))
        histories = tuple(_read_history(one) for one in document.pop("histories"))
        document["events"] = tuple(_read_events(one) for one in document.get("events", ()))
        document["segments"] = tuple(document.get("segments", ()))
        if "monitoring" in document:
            document["monitoring"] = MonitoringPolicy.from_document(document["monitoring"])
        if "retraining" in document:  # a definition that was stored before there was such a section has none
            document["retraining"] = RetrainingPolicy.from_document(document["retraining"])
        if "privacy" in document:
            document["privacy"] = PrivacyPolicy(**document["privacy"])
        return cls(**document, score=score, fields=fields, histories=histories)


def _read_field(document: dict[str, Any]) -> FieldDefinition:
    kind = FieldKind(document["kind"])
    return FieldDefinition(document["name"], kind, tuple(document["missing_codes"]), document.get("reason"))


def _read_history(document: dict[str, Any]) -> HistoryDefinition:
    kind = FieldKind(document["kind"])
    codes = tuple(document["missing_codes"])
    return HistoryDefinition(document["name"], kind, tuple(document["columns"]), codes, document.get("reason"))


def _read_events(document: dict[str, Any]) -> EventsDefinition:
    fields = tuple(_read_field(one) for one in document.pop("fields"))
    reasons = tuple((str(name), str(text)) for name, text in document.pop("reasons"))
    return EventsDefinition(**document, fields=fields, reasons=reasons)
