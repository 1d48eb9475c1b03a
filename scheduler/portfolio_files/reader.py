"""Reads a portfolio file into a `PortfolioDefinition`, or reports every mistake in it."""

import re
import tomllib
from dataclasses import replace
from pathlib import Path

from db.portfolios.definition import (
    FieldDefinition,
    HistoryDefinition,
    PortfolioDefinition,
    ScoreScale,
)
from db.portfolios.retraining_policy import RetrainingPolicy
from scheduler.portfolio_files.events_section import read_events, require_event_rules
from scheduler.portfolio_files.monitoring_section import read_monitoring, read_segments
from scheduler.portfolio_files.privacy_section import read_privacy
from scheduler.portfolio_files.problems import PortfolioFileError, Problem, find_key_lines, find_line
from scheduler.portfolio_files.reasons_section import read_reason, read_reference
from scheduler.portfolio_files.retraining_section import read_retraining
from scheduler.portfolio_files.rules import require_equal_lengths, require_inputs, require_single_use
from scheduler.portfolio_files.values import (
    Problems,
    Table,
    is_identifier,
    read_column_name,
    read_kind,
    read_missing_codes,
    read_named_sections,
    read_number,
    read_section,
    read_source_name,
    read_text,
    require_known_keys,
    shown,
)

_TOP_KEYS = (
    *("name", "title", "source", "key", "target", "as_of", "moment", "entity", "score", "segments", "rejects"),
    *("limits", "reasons", "monitoring", "retraining", "retention", "privacy", "fields", "history", "events"),
)
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_DEEP_NAME = re.compile(r"""(?:[\w"'-]+[ \t]*\.[ \t]*){30}""")
_SYNTAX_PLACE = re.compile(r" \(at line (\d+), column (\d+)\)$")


def read_portfolio_file(path: Path | str) -> PortfolioDefinition:
    """Read and check one file. Raises `PortfolioFileError` with all mistakes."""
    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise _whole_file_error(path, "the file does not exist") from error
    except IsADirectoryError as error:
        raise _whole_file_error(path, "expected a portfolio file, got a folder") from error
    except OSError as error:
        raise _whole_file_error(path, f"cannot be read: {error.strerror or error}") from error
    try:
        return parse_portfolio(content.decode("utf-8-sig"), str(path))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = f"expected UTF-8 text, got the byte 0x{content[error.start]:02x}; save the file as UTF-8"
        raise PortfolioFileError(str(path), [Problem((), message, line)]) from error


def read_policy_file(path: Path) -> RetrainingPolicy:
    """Read the section [retraining] of a TOML file, which may hold nothing else. Raises `PortfolioFileError`."""
    try:
        document = _load_toml(path.read_text(encoding="utf-8-sig"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise _whole_file_error(path, f"cannot be read: {why}") from error
    problems = Problems()
    if "retraining" not in document:
        problems.note(("retraining",), "expected a section [retraining]; it is missing")
    policy = read_retraining(document, problems)
    if problems:
        raise PortfolioFileError(str(path), problems)
    return policy


def parse_portfolio(text: str, where: str) -> PortfolioDefinition:
    """Read and check a portfolio's text; `where` names it in messages. Raises `PortfolioFileError`."""
    try:
        return read_portfolio_document(_load_toml(text, where), where)
    except PortfolioFileError as error:
        if not any(problem.path for problem in error.problems):
            raise
        lines = find_key_lines(text)
        placed = [replace(problem, line=find_line(lines, problem.path)) for problem in error.problems]
        raise PortfolioFileError(where, sorted(placed, key=lambda problem: problem.line or 0)) from None


def read_portfolio_document(document: Table, where: str) -> PortfolioDefinition:
    """Read and check a portfolio written as TOML, or with the same names as JSON. Raises `PortfolioFileError`."""
    problems = Problems()
    definition = _read_definition(document, problems)
    if problems:
        raise PortfolioFileError(where, problems)
    return definition


def _whole_file_error(path: Path, message: str) -> PortfolioFileError:
    return PortfolioFileError(str(path), [Problem((), message)])


def _load_toml(text: str, where: str) -> Table:
    if _DEEP_NAME.search(text):  # tomllib's time grows with the square of the depth
        raise PortfolioFileError(where, [Problem((), "not valid TOML: nested too deeply")])
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise PortfolioFileError(where, [Problem((), "not valid TOML: nested too deeply")]) from error
    except ValueError as error:  # tomllib's own error, or a number of more digits than Python converts
        place = _SYNTAX_PLACE.search(str(error))
        if place is None:
            raise PortfolioFileError(where, [Problem((), f"not valid TOML: {error}")]) from error
        line, column = int(place[1]), int(place[2])
        written = shown(([*text.split("\n"), ""])[line - 1].strip())
        message = f"not valid TOML at column {column}: {str(error)[: place.start()]}, in: {written}"
        raise PortfolioFileError(where, [Problem((), message, line)]) from error


def _read_definition(document: Table, problems: Problems) -> PortfolioDefinition:
    require_known_keys(document, (), _TOP_KEYS, problems)
    name = _read_name(document, problems)
    key = read_column_name(document, ("key",), problems)
    if key is None and "key" not in document:
        problems.note(("key",), "expected the name of the column that identifies a record; it is missing")
    definition = PortfolioDefinition(
        name=name,
        title=read_text(document, ("title",), problems, default=name) or name,
        source=_read_source(document, name, problems),
        key=key or "",
        target=read_column_name(document, ("target",), problems),
        as_of=read_column_name(document, ("as_of",), problems),
        entity=read_column_name(document, ("entity",), problems),
        score=_read_score(document, problems),
        reject_budget=_read_budget(document, problems),
        running_shards=_read_limit(document, problems),
        fields=_read_fields(document, problems),
        histories=_read_histories(document, problems),
        events=read_events(document, key or "", problems),
        moment=read_column_name(document, ("moment",), problems),
        monitoring=read_monitoring(document, problems),
        reasons_reference=read_reference(document, problems),
        retraining=read_retraining(document, problems),
        privacy=read_privacy(document, problems),
    )
    definition = replace(definition, segments=read_segments(document, definition.input_columns, problems))
    require_inputs(document, problems)
    require_equal_lengths(definition, problems)
    require_single_use(definition, problems)
    require_event_rules(definition, problems)
    return definition


def _read_name(document: Table, problems: Problems) -> str:
    name = read_text(document, ("name",), problems)
    if name is None:
        if "name" not in document:
            problems.note(("name",), "expected a name for the portfolio; it is missing")
        return "unnamed"
    if not _NAME.fullmatch(name):
        rule = "at most 64 lower-case letters, digits, _ and -, starting with a letter"
        problems.note(("name",), f"expected {rule}, got {shown(name)}")
    return name


def _read_source(document: Table, name: str, problems: Problems) -> str:
    if "source" in document:
        return read_source_name(document, ("source",), problems, default=name)
    if _NAME.fullmatch(name):
        is_identifier(name, ("name",), problems, what="table or view name")
    return name


def _read_score(document: Table, problems: Problems) -> ScoreScale:
    table = read_section(document, ("score",), problems)
    require_known_keys(table, ("score",), ("points", "odds", "points_to_double"), problems)
    usual = ScoreScale()
    points = read_number(table, ("score", "points"), problems, default=usual.points)
    odds = read_number(table, ("score", "odds"), problems, default=usual.odds)
    points_to_double = read_number(table, ("score", "points_to_double"), problems, default=usual.points_to_double)
    for name, value in (("odds", odds), ("points_to_double", points_to_double)):
        if value <= 0:
            problems.note(("score", name), f"expected a number above 0, got {value:g}")
    return ScoreScale(points, odds, points_to_double)


def _read_budget(document: Table, problems: Problems) -> float:
    table = read_section(document, ("rejects",), problems)
    require_known_keys(table, ("rejects",), ("budget",), problems)
    budget = read_number(table, ("rejects", "budget"), problems, default=0.01)
    if not 0 <= budget <= 1:
        problems.note(("rejects", "budget"), f"expected a share from 0 to 1 (0.01 is 1 %), got {budget:g}")
    return budget


def _read_limit(document: Table, problems: Problems) -> int | None:
    table = read_section(document, ("limits",), problems)
    require_known_keys(table, ("limits",), ("running_shards",), problems)
    limit = table.get("running_shards")
    if limit is None or (isinstance(limit, int) and not isinstance(limit, bool) and limit > 0):
        return limit
    problems.note(("limits", "running_shards"), f"expected a whole number above 0, got {shown(limit)}")
    return None


def _read_fields(document: Table, problems: Problems) -> tuple[FieldDefinition, ...]:
    fields: list[FieldDefinition] = []
    for name, table in read_named_sections(document, ("fields",), problems):
        path = ("fields", name)
        is_identifier(name, path, problems, what="column name")
        require_known_keys(table, path, ("kind", "missing_codes", "reason"), problems)
        kind = read_kind(table, (*path, "kind"), problems)
        codes = read_missing_codes(table, (*path, "missing_codes"), kind, problems)
        fields.append(FieldDefinition(name, kind, codes, read_reason(table, path, problems)))
    return tuple(fields)


def _read_histories(document: Table, problems: Problems) -> tuple[HistoryDefinition, ...]:
    histories: list[HistoryDefinition] = []
    for name, table in read_named_sections(document, ("history",), problems):
        path = ("history", name)
        is_identifier(name, path, problems, what="history name")
        require_known_keys(table, path, ("kind", "columns", "missing_codes", "reason"), problems)
        kind = read_kind(table, (*path, "kind"), problems)
        codes = read_missing_codes(table, (*path, "missing_codes"), kind, problems)
        reason = read_reason(table, path, problems)
        histories.append(HistoryDefinition(name, kind, _read_columns(table, name, problems), codes, reason))
    return tuple(histories)


def _read_columns(table: Table, history: str, problems: Problems) -> tuple[str, ...]:
    path = ("history", history, "columns")
    value = table.get("columns")
    if not isinstance(value, list) or not all(isinstance(column, str) for column in value):
        got = "it is missing" if value is None else f"got {shown(value)}"
        problems.note(path, f"expected a list of column names in quotes, oldest first, {got}")
        return ()
    columns = tuple(str(column) for column in value)
    for column in columns:
        is_identifier(column, path, problems, what="column name")
    if len(columns) < 2:
        problems.note(path, f"expected at least 2 columns, oldest first, got {len(columns)}; write it as a field")
    return columns
