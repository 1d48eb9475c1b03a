"""Reads the section [monitoring] of a portfolio file: reference, limits, calendar effects."""

from collections.abc import Callable
from dataclasses import fields
from datetime import date
from typing import Any, cast
from zoneinfo import ZoneInfo

from db.portfolios.monitoring_policy import WEEKDAYS, CalendarEffect, MonitoringPolicy, ReferenceChoice
from scheduler.portfolio_files.problems import KeyPath, nearest, toml_text
from scheduler.portfolio_files.values import (
    Problems,
    Table,
    read_named_sections,
    read_number,
    read_section,
    read_text,
    require_known_keys,
    shown,
)

_SECTION = "monitoring"
_RANGES: dict[str, tuple[float, float]] = {
    "watch_psi": (0.01, 10),
    "drifted_psi": (0.01, 10),
    "largest_missing_rise": (0, 1),
    "largest_unseen_rise": (0, 1),
    "canary_tolerance": (0, 0.01),
    "quiet_years": (0.25, 20),
}


def read_monitoring(document: Table, problems: Problems) -> MonitoringPolicy:
    """Return the policy, with defaults for missing keys."""
    usual = MonitoringPolicy()
    table = read_section(document, (_SECTION,), problems)
    require_known_keys(table, (_SECTION,), [one.name for one in fields(MonitoringPolicy)], problems)
    numbers: dict[str, float] = {}
    for name, (low, high) in _RANGES.items():
        numbers[name] = read_number(table, (_SECTION, name), problems, default=getattr(usual, name))
        if not low <= numbers[name] <= high:
            problems.note((_SECTION, name), f"expected a number from {low:g} to {high:g}, got {numbers[name]:g}")
    if numbers["drifted_psi"] < numbers["watch_psi"]:
        problems.note((_SECTION, "drifted_psi"), f"expected at least watch_psi, which is {numbers['watch_psi']:g}")
    return MonitoringPolicy(
        reference=_read_reference(table, problems),
        least_records=_read_least_records(table, usual.least_records, problems),
        time_zone=_read_time_zone(table, usual.time_zone, problems),
        calendar=_read_calendar(table, problems),
        **numbers,
    )


def read_segments(document: Table, columns: tuple[str, ...], problems: Problems) -> tuple[str, ...]:
    """Return the columns whose values are monitored separately; each must be an input column."""
    value = document.get("segments", [])
    if not isinstance(value, list) or not all(isinstance(column, str) for column in cast("list[object]", value)):
        problems.note(("segments",), f"expected a list of column names in quotes, got {shown(value)}")
        return ()
    names = tuple(cast("list[str]", value))
    for name in names:
        if name not in columns:
            hint = nearest(name, columns)
            problems.note(("segments",), f"expected columns of a field or a history, got {shown(name)}{hint}")
    return names


def _read_reference(table: Table, problems: Problems) -> ReferenceChoice:
    value = table.get("reference", str(ReferenceChoice.TRAINING))
    known = [str(one) for one in ReferenceChoice]
    if isinstance(value, str) and value in known:
        return ReferenceChoice(value)
    hint = nearest(value, known) if isinstance(value, str) else ""
    expected = " or ".join(toml_text(one) for one in known)
    problems.note((_SECTION, "reference"), f"expected {expected}, got {shown(value)}{hint}")
    return ReferenceChoice.TRAINING


def _read_least_records(table: Table, usual: int, problems: Problems) -> int:
    value = table.get("least_records", usual)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 50:
        return value
    problems.note((_SECTION, "least_records"), f"expected a whole number from 50, got {shown(value)}")
    return usual


def _read_time_zone(table: Table, usual: str, problems: Problems) -> str:
    path = (_SECTION, "time_zone")
    name = read_text(table, path, problems, default=usual) or usual
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        problems.note(path, f'expected an IANA name such as "Europe/Berlin", got {shown(name)}')
    return name


def _read_calendar(table: Table, problems: Problems) -> tuple[CalendarEffect, ...]:
    effects: list[CalendarEffect] = []
    for name, effect in read_named_sections(table, (_SECTION, "calendar"), problems):
        path = (_SECTION, "calendar", name)
        require_known_keys(effect, path, ("days", "weekdays", "dates"), problems)
        lists = [_read_list(effect, (*path, key), check, what, problems) for key, (check, what) in _LISTS.items()]
        if not any(lists):
            problems.note(path, "expected at least one of days, weekdays, dates; got none")
        effects.append(CalendarEffect(name, *lists))
    return tuple(effects)


def _read_list(
    table: Table, path: KeyPath, is_valid: Callable[[object], bool], what: str, problems: Problems
) -> tuple[Any, ...]:
    value = table.get(path[-1], [])
    if isinstance(value, list) and all(is_valid(one) for one in cast("list[object]", value)):
        return tuple(str(one) if isinstance(one, date) else one for one in cast("list[Any]", value))
    problems.note(path, f"expected a list of {what}, got {shown(value)}")
    return ()


def _is_day(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= abs(value) <= 31


def _is_date(value: object) -> bool:
    try:
        return date.fromisoformat(str(value)).isoformat() == str(value)
    except ValueError:
        return False


_LISTS: dict[str, tuple[Callable[[object], bool], str]] = {
    "days": (_is_day, "days of the month, 1 to 31, or -1 for the last one"),
    "weekdays": (lambda value: value in WEEKDAYS, f"weekdays in quotes, {', '.join(WEEKDAYS)}"),
    "dates": (_is_date, "dates such as 2026-12-24"),
}
