"""Reads the section [retraining] of a portfolio file: when to train again, and the limits of the gate."""

import re
from collections.abc import Sequence
from dataclasses import asdict, fields
from enum import StrEnum
from typing import Any, TypeVar

from db.portfolios.retraining_policy import GatePolicy, RetrainingPolicy
from scheduler.portfolio_files.problems import KeyPath, nearest, toml_text
from scheduler.portfolio_files.values import (
    Problems,
    Table,
    is_identifier,
    is_number,
    read_number,
    read_section,
    read_text,
    require_known_keys,
    shown,
)

Choice = TypeVar("Choice", bound=StrEnum)

_SECTION = "retraining"
_COUNTS = {"least_bad_outcomes": 1, "cool_down_nights": 0, "monthly_cap": 0, "shadow_nights": 0, "probation_nights": 0}
_NEVER = "never"
_GROWTH = re.compile(r"when_outcomes_grow_by\s+(\d*\.?\d+)")
_SPAN = re.compile(r"(\d{1,5})\s+(day|minute)s?")
_MOST_SPAN = 10_000
_GATE_RANGES: dict[str, tuple[float, float]] = {
    "largest_auc_loss": (0, 1),
    "confidence": (0.5, 0.999),
    "least_calibration_slope": (0, 1),
    "largest_calibration_slope": (1, 100),
    "largest_points_psi": (0, 100),
    "least_speed": (0, 1),
}


def read_retraining(document: Table, problems: Problems) -> RetrainingPolicy:
    """Return the policy, with defaults for missing keys."""
    usual = RetrainingPolicy()
    table = read_section(document, (_SECTION,), problems)
    require_known_keys(table, (_SECTION,), [one.name for one in fields(RetrainingPolicy)], problems)
    counts = {
        name: _read_count(table, (_SECTION, name), least, getattr(usual, name), problems)
        for name, least in _COUNTS.items()
    }
    return RetrainingPolicy(
        when_drifted=_read_choice(table, (_SECTION, "when_drifted"), usual.when_drifted, problems),
        when_outcomes_differ=_read_choice(
            table, (_SECTION, "when_outcomes_differ"), usual.when_outcomes_differ, problems
        ),
        without_outcomes=_read_choice(table, (_SECTION, "without_outcomes"), usual.without_outcomes, problems),
        affected_nights=_read_choice(table, (_SECTION, "affected_nights"), usual.affected_nights, problems),
        records=_read_records(table, problems),
        refresh=_read_refresh(table, usual.refresh, problems),
        outcome_after=_read_span(table, "outcome_after", "days", usual.outcome_after, problems),
        time_budget=_read_span(table, "time_budget", "minutes", usual.time_budget, problems) or usual.time_budget,
        cut_off=_read_cut_off(table, problems),
        gate=_read_gate(table, problems),
        **counts,
    )


def _read_gate(table: Table, problems: Problems) -> GatePolicy:
    path = (_SECTION, "gate")
    inner = read_section(table, path, problems)
    usual = asdict(GatePolicy())
    require_known_keys(inner, path, list(usual), problems)
    values: dict[str, Any] = {"least_bad": _read_count(inner, (*path, "least_bad"), 10, usual["least_bad"], problems)}
    for name, (low, high) in _GATE_RANGES.items():
        value = read_number(inner, (*path, name), problems, default=usual[name])
        if not low <= value <= high:
            problems.note((*path, name), f"expected a number from {low:g} to {high:g}, got {value:g}")
        values[name] = value
    return GatePolicy(**values)


def _read_count(table: Table, path: KeyPath, least: int, usual: int, problems: Problems) -> int:
    value = table.get(path[-1], usual)
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= 1_000_000:
        return value
    problems.note(path, f"expected a whole number from {least}, got {shown(value)}")
    return usual


def _read_refresh(table: Table, usual: float | None, problems: Problems) -> float | None:
    value = table.get("refresh")
    if value is None or value == _NEVER:
        return usual if value is None else None
    found = _GROWTH.fullmatch(value) if isinstance(value, str) else None
    if found is not None and 0.01 <= float(found[1]) <= 100:
        return float(found[1])
    expected = 'expected "when_outcomes_grow_by 0.25" (a share from 0.01 to 100) or "never"'
    problems.note((_SECTION, "refresh"), f"{expected}, got {shown(value)}")
    return usual


def _read_span(table: Table, name: str, unit: str, usual: int | None, problems: Problems) -> int | None:
    """Return a number of days or minutes, written as text with its unit."""
    value = table.get(name)
    if value is None:
        return usual
    found = _SPAN.fullmatch(value) if isinstance(value, str) else None
    if found is not None and found[2] == unit.rstrip("s") and 1 <= int(found[1]) <= _MOST_SPAN:
        return int(found[1])
    problems.note((_SECTION, name), f'expected a time such as "180 {unit}", got {shown(value)}')
    return usual


def _read_choice(table: Table, path: KeyPath, usual: Choice, problems: Problems) -> Choice:
    kind = type(usual)
    value = table.get(path[-1], str(usual))
    known: Sequence[str] = [str(one) for one in kind]
    if isinstance(value, str) and value in known:
        return kind(value)
    hint = nearest(value, known) if isinstance(value, str) else ""
    problems.note(path, f"expected {' or '.join(toml_text(one) for one in known)}, got {shown(value)}{hint}")
    return usual


def _read_records(table: Table, problems: Problems) -> str | None:
    path = (_SECTION, "records")
    name = read_text(table, path, problems)
    if name is None:
        return None
    parts = name.split(".")
    if len(parts) > 2:
        problems.note(path, f'expected "table" or "schema.table", got {shown(name)}')
        return None
    return name if all(is_identifier(part, path, problems, what="table or view name") for part in parts) else None


def _read_cut_off(table: Table, problems: Problems) -> float | None:
    value = table.get("cut_off")
    if value is None or is_number(value):
        return None if value is None else float(str(value))
    problems.note((_SECTION, "cut_off"), f"expected a number of points, got {shown(value)}")
    return None
