"""Mistakes in a portfolio file, each with its place: file, line, and the key's dotted path."""

import difflib
import json
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass

from scheduler.errors import UsageError

KeyPath = tuple[str, ...]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_DEEPEST, _LONGEST_LINE = 8, 10_000  # beyond these, mistakes have no line numbers
_QUOTED_OR_EQUALS = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'|=')


@dataclass(frozen=True)
class Problem:
    """One mistake: the expected and the actual value. An empty path means the whole file."""

    path: KeyPath
    message: str
    line: int | None = None


class PortfolioFileError(UsageError):
    """A portfolio file cannot be used; `problems` holds every mistake found, in the order of the file."""

    def __init__(self, where: str, problems: Iterable[Problem]) -> None:
        self.where = where
        self.problems = tuple(problems)
        super().__init__("\n".join(_describe(where, problem) for problem in self.problems))


def _describe(where: str, problem: Problem) -> str:
    place = where if problem.line is None else f"{where}:{problem.line}"
    return f"{place}: {dotted(problem.path)}: {problem.message}" if problem.path else f"{place}: {problem.message}"


def dotted(path: KeyPath) -> str:
    """Return the path as TOML writes it.

    >>> dotted(("fields", "emp.var.rate", "kind"))
    'fields."emp.var.rate".kind'
    """
    return ".".join(part if _BARE_KEY.fullmatch(part) else toml_text(part) for part in path)


def toml_text(text: str) -> str:
    """Return a TOML basic string; JSON's escapes are also TOML's, except DEL, which only TOML forbids."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return '; did you mean "..."?' for the valid name closest to this one, or nothing when none is close."""
    by_folded = {one.casefold(): one for one in valid}
    close = difflib.get_close_matches(name.casefold(), by_folded, n=1)
    return f"; did you mean {toml_text(by_folded[close[0]])}?" if close else ""


def find_key_lines(text: str) -> dict[KeyPath, int]:
    """Return the line, from 1, of each key and each [section].

    `tomllib` gives no positions, so each line that looks like a header or an assignment is read alone. A look-alike
    inside a multi-line text can only give a wrong line number in a message, never a wrong value.
    """
    lines: dict[KeyPath, int] = {}
    section: KeyPath = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if len(line) > _LONGEST_LINE:
            continue
        header = _read_header(line)
        if header is not None:
            section = header
        path = header if header is not None else _read_assigned_key(line, section)
        for length in range(1, min(len(path or ()), _DEEPEST) + 1):
            lines.setdefault((path or ())[:length], number)
    return lines


def _read_header(line: str) -> KeyPath | None:
    if not line.lstrip().startswith("["):
        return None
    return _only_path(line)


def _read_assigned_key(line: str, section: KeyPath) -> KeyPath | None:
    equals = next((match for match in _QUOTED_OR_EQUALS.finditer(line) if match.group() == "="), None)
    path = None if equals is None else _only_path(f"{line[: equals.start()]} = 0")
    return None if path is None else section + path


def _only_path(line: str) -> KeyPath | None:
    try:
        document: object = tomllib.loads(line)
    except (ValueError, RecursionError):
        return None
    path: list[str] = []
    while isinstance(document, dict) and len(document) == 1:
        name, document = next(iter(document.items()))
        path.append(str(name))
    return tuple(path) or None


def find_line(lines: dict[KeyPath, int], path: KeyPath) -> int | None:
    """Return the line of the path, or of the nearest enclosing section in the file."""
    return next((lines[path[:length]] for length in range(len(path), 0, -1) if path[:length] in lines), None)
