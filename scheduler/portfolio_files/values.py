"""Reads single values of a portfolio file: returns the value, or notes a mistake and returns a default."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from db.portfolios.definition import FieldKind
from scheduler.portfolio_files.problems import KeyPath, Problem, dotted, nearest, toml_text

Table = Mapping[str, object]

# PostgreSQL cuts longer identifiers short without an error, and then two columns may become one.
IDENTIFIER_BYTES = 63
OWN_PREFIX = "tidemark_"

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_NUMBER_LIKE = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*")
_LARGEST = 1e300
_KINDS = tuple(kind.value for kind in FieldKind)


class Problems(list[Problem]):
    """The mistakes found so far."""

    def note(self, path: KeyPath, message: str) -> None:
        """Add one mistake."""
        self.append(Problem(path, message))


def read_section(table: Table, path: KeyPath, problems: Problems) -> Table:
    """Return the section at the path's last name; an absent one is empty."""
    value = table.get(path[-1], {})
    if isinstance(value, Mapping):
        return cast("Table", value)
    problems.note(path, f"expected a section [{dotted(path)}], got {shown(value)}")
    return {}


def read_named_sections(table: Table, group: KeyPath, problems: Problems) -> Iterator[tuple[str, Table]]:
    """Yield the sections [group.NAME] in file order, those that are sections; the rest is noted."""
    for name, value in read_section(table, group, problems).items():
        path = (*group, name)
        if not isinstance(value, Mapping):
            problems.note(path, f"expected a section [{dotted(path)}], got {shown(value)}")
            continue
        section = cast("Table", value)
        inner = _unquoted_name(name, section)
        if inner is None:
            yield name, section
        else:
            problems.note(path, f"a name with a dot needs quotes; did you mean [{dotted((*group, inner))}]?")


def _unquoted_name(name: str, table: Table) -> str | None:
    """Return the column name with dots that TOML took for sections within sections."""
    if "kind" in table:
        return None
    inner = next(((key, value) for key, value in table.items() if isinstance(value, Mapping)), None)
    if inner is None:
        return None
    joined = f"{name}.{inner[0]}"
    return _unquoted_name(joined, cast("Table", inner[1])) or joined


def require_known_keys(table: Table, path: KeyPath, valid: Sequence[str], problems: Problems) -> None:
    """Note every unknown key, with the nearest valid one."""
    for name in table:
        if name not in valid:
            problems.note((*path, name), f"unknown key; expected one of {', '.join(valid)}{nearest(name, valid)}")


def read_text(table: Table, path: KeyPath, problems: Problems, *, default: str | None = None) -> str | None:
    """Return a text that is not blank; None when it is absent without a default, or wrong."""
    value = table.get(path[-1], default)
    if value is None:
        return None
    if isinstance(value, str) and value.strip():
        return value
    problems.note(path, f"expected a text in quotes, not empty, got {shown(value)}")
    return None


def read_column_name(table: Table, path: KeyPath, problems: Problems) -> str | None:
    """Return the name of a column; None when absent or wrong."""
    value = read_text(table, path, problems)
    return value if value is not None and is_identifier(value, path, problems, what="column name") else None


def read_source_name(table: Table, path: KeyPath, problems: Problems, *, default: str) -> str:
    """Return the name of a table or view, as "table" or "schema.table"."""
    source = read_text(table, path, problems, default=default) or default
    parts = source.split(".")
    if len(parts) > 2:
        problems.note(path, f'expected "table" or "schema.table", got {shown(source)}')
    else:
        all(is_identifier(part, path, problems, what="table or view name") for part in parts)
    return source


def is_identifier(name: str, path: KeyPath, problems: Problems, *, what: str) -> bool:
    """Whether both databases can hold the name and it is not one of our own; the reason is noted if not."""
    if not name.strip() or _CONTROL.search(name):
        wrong = "a name of visible characters"
    elif len(name.encode(errors="surrogatepass")) > IDENTIFIER_BYTES:
        wrong = f"a name of at most {IDENTIFIER_BYTES} bytes (PostgreSQL's limit)"
    elif name.casefold().startswith(OWN_PREFIX):
        wrong = f"a name that does not start with {OWN_PREFIX}, which is reserved for Tidemark"
    else:
        return True
    problems.note(path, f"expected {wrong} as {what}, got {shown(name)}")
    return False


def read_number(table: Table, path: KeyPath, problems: Problems, *, default: float) -> float:
    """Return a finite number (a TOML boolean is not a number)."""
    value = table.get(path[-1], default)
    if is_number(value):
        return float(cast("float", value))
    problems.note(path, f"expected a number, got {shown(value)}")
    return default


def is_number(value: object) -> bool:
    """Whether the value is a finite number; true, nan and inf are not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -_LARGEST < value < _LARGEST


def read_kind(table: Table, path: KeyPath, problems: Problems) -> FieldKind:
    """Return the kind of a field or a history."""
    value = table.get(path[-1])
    if isinstance(value, str) and value in _KINDS:
        return FieldKind(value)
    expected = " or ".join(toml_text(kind) for kind in _KINDS)
    got = "it is missing" if value is None else f"got {shown(value)}"
    problems.note(path, f"expected {expected}, {got}{nearest(value, _KINDS) if isinstance(value, str) else ''}")
    return FieldKind.NUMERIC


def read_missing_codes(table: Table, path: KeyPath, kind: FieldKind, problems: Problems) -> tuple[float | str, ...]:
    """Return the codes: numbers as float; in a categorical column as text."""
    value = table.get(path[-1], [])
    if not isinstance(value, list):
        problems.note(path, f'expected a list of numbers or texts such as [-9, "?"], got {shown(value)}')
        return ()
    codes: list[float | str] = []
    for code in cast("list[object]", value):
        if is_number(code):
            number = float(cast("float", code))
            codes.append(number if kind is FieldKind.NUMERIC else f"{number:.15g}")
        elif not isinstance(code, str):
            problems.note(path, f"expected numbers or texts in quotes, got {shown(code)}")
        elif kind is FieldKind.NUMERIC and _NUMBER_LIKE.fullmatch(code):
            problems.note(path, f"expected the number without quotes in a numeric column, got {shown(code)}")
        else:
            codes.append(code)
    return tuple(codes)


def shown(value: object) -> str:
    """Return the value as the file would write it, in short."""
    if isinstance(value, Mapping):
        return "a section"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return toml_text(value if len(value) <= 60 else f"{value[:57]}...")
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
