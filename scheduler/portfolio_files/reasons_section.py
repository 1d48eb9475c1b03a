"""Reads the reasons of a portfolio file: the reference of reason codes, the texts of letters."""

from typing import get_args

from db.portfolios.definition import ReasonsReference
from scheduler.portfolio_files.problems import nearest, toml_text
from scheduler.portfolio_files.values import Problems, Table, read_section, read_text, require_known_keys, shown

_REFERENCES: tuple[ReasonsReference, ...] = get_args(ReasonsReference)


def read_reference(document: Table, problems: Problems) -> ReasonsReference:
    """Return which records the reasons' reference is computed from."""
    table = read_section(document, ("reasons",), problems)
    require_known_keys(table, ("reasons",), ("reference",), problems)
    value = table.get("reference", "population")
    for known in _REFERENCES:
        if value == known:
            return known
    expected = " or ".join(toml_text(known) for known in _REFERENCES)
    hint = nearest(value, _REFERENCES) if isinstance(value, str) else ""
    problems.note(("reasons", "reference"), f"expected {expected}, got {shown(value)}{hint}")
    return "population"


def read_reason(table: Table, path: tuple[str, ...], problems: Problems) -> str | None:
    """Return the text for the column in a letter; None if the file has none."""
    return read_text(table, (*path, "reason"), problems)
