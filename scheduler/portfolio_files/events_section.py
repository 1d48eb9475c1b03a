"""Reads the sections [events.NAME] of a portfolio file: tables with many rows for each record."""

import re
from collections.abc import Iterator
from typing import cast

from db.portfolios.definition import EventsDefinition, FieldDefinition, PortfolioDefinition
from scheduler.portfolio_files.problems import KeyPath, dotted
from scheduler.portfolio_files.values import (
    Problems,
    Table,
    is_identifier,
    read_column_name,
    read_kind,
    read_missing_codes,
    read_named_sections,
    read_section,
    read_source_name,
    read_text,
    require_known_keys,
    shown,
)

_SECTION = "events"
_KEYS = ("source", "key", "at", "type", "window", "most", "fields", "reasons")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_WINDOW = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)\s+(day|week|month|year)s?")
_DAYS = {"day": 1.0, "week": 7.0, "month": 365.25 / 12, "year": 365.25}
_MOST = 4096


def read_events(document: Table, key: str, problems: Problems) -> tuple[EventsDefinition, ...]:
    """Return the event tables in file order; `key` is the portfolio's."""
    return tuple(_read_table(name, table, key, problems) for name, table in _sections(document, problems))


def require_event_rules(definition: PortfolioDefinition, problems: Problems) -> None:
    """Note event tables that clash with the rest of the file, and a target without a moment."""
    for one in definition.events:
        path = (_SECTION, one.name)
        if one.source.casefold() in {definition.source.casefold(), definition.learning_source.casefold()}:
            message = f"expected a table of its own for the events, got {shown(one.source)}, which holds the records"
            problems.note((*path, "source"), message)
        for column in definition.input_columns:
            if column.casefold().startswith(f"{one.name}."):
                message = f"a column of the records starts with this name: {shown(column)}; give the events another one"
                problems.note(path, message)
        _require_single_use(one, problems)
    if definition.events and definition.target is not None and definition.moment_column is None:
        problems.note(
            (_SECTION,),
            "expected moment or as_of, the column that says when each record is judged, because there is a target; "
            "else events later than a record's outcome would be learned from",
        )


def _sections(document: Table, problems: Problems) -> Iterator[tuple[str, Table]]:
    for name, value in read_section(document, (_SECTION,), problems).items():
        path = (_SECTION, name)
        if not isinstance(value, dict):
            problems.note(path, f"expected a section [{dotted(path)}], got {shown(value)}")
            continue
        if not _NAME.fullmatch(name):
            rule = "at most 32 lower-case letters, digits and _, starting with a letter"
            problems.note(path, f"expected {rule} as the events' name, got {shown(name)}")
        yield name, cast("Table", value)


def _read_table(name: str, table: Table, key: str, problems: Problems) -> EventsDefinition:
    path = (_SECTION, name)
    require_known_keys(table, path, _KEYS, problems)
    at = read_column_name(table, (*path, "at"), problems)
    if "at" not in table:
        problems.note((*path, "at"), "expected the name of the column with the time of an event; it is missing")
    return EventsDefinition(
        name=name,
        source=read_source_name(table, (*path, "source"), problems, default=name),
        key=read_column_name(table, (*path, "key"), problems) or key,
        at=at or "",
        type=read_column_name(table, (*path, "type"), problems),
        window_days=_read_window(table, (*path, "window"), problems),
        most=_read_most(table, (*path, "most"), problems),
        fields=_read_fields(table, (*path, "fields"), problems),
        reasons=_read_reasons(table, (*path, "reasons"), problems),
    )


def _read_window(table: Table, path: KeyPath, problems: Problems) -> float | None:
    value = table.get(path[-1])
    if value is None:
        return None
    found = _WINDOW.fullmatch(value) if isinstance(value, str) else None
    if found is not None and float(found[1]) > 0:
        return float(found[1]) * _DAYS[found[2]]
    expected = 'a time above 0 in days, weeks, months or years, such as "730 days" or "2 years"'
    problems.note(path, f"expected {expected}, got {shown(value)}")
    return None


def _read_most(table: Table, path: KeyPath, problems: Problems) -> int:
    usual = EventsDefinition("", "", "", "").most
    value = table.get(path[-1], usual)
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MOST:
        return value
    problems.note(path, f"expected a whole number from 1 to {_MOST}, got {shown(value)}")
    return usual


def _read_fields(table: Table, path: KeyPath, problems: Problems) -> tuple[FieldDefinition, ...]:
    fields: list[FieldDefinition] = []
    for name, field in read_named_sections(table, path, problems):
        own = (*path, name)
        is_identifier(name, own, problems, what="column name")
        require_known_keys(field, own, ("kind", "missing_codes"), problems)
        kind = read_kind(field, (*own, "kind"), problems)
        fields.append(FieldDefinition(name, kind, read_missing_codes(field, (*own, "missing_codes"), kind, problems)))
    return tuple(fields)


def _read_reasons(table: Table, path: KeyPath, problems: Problems) -> tuple[tuple[str, str], ...]:
    reasons = read_section(table, path, problems)
    texts = ((name, read_text(reasons, (*path, name), problems)) for name in reasons)
    return tuple((name, text) for name, text in texts if text is not None)


def _require_single_use(events: EventsDefinition, problems: Problems) -> None:
    """To SQLite, names that differ only in case are the same column."""
    path = (_SECTION, events.name)
    uses = [((*path, "key"), events.key), ((*path, "at"), events.at), ((*path, "type"), events.type)]
    uses += [((*path, "fields", one.name), one.name) for one in events.fields]
    first: dict[str, KeyPath] = {}
    for place, column in uses:
        if not column:
            continue
        used = first.setdefault(column.casefold(), place)
        if used != place:
            problems.note(place, f"expected each column once, but {shown(column)} is already used by {dotted(used)}")
