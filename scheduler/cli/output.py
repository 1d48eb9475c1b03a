"""The output of a command: one JSON object on standard output if requested, otherwise text for people."""

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

PIPED_WIDTH = 220


class Output:
    """The output of a command. With JSON, everything except the one object goes to standard error."""

    def __init__(self, *, wants_json: bool) -> None:
        self.wants_json = wants_json

    def emit(self, document: dict[str, Any]) -> None:
        """Print the machine-readable object, if JSON is wanted."""
        if self.wants_json:
            sys.stdout.write(json.dumps(document, default=_as_json, ensure_ascii=False) + "\n")
            sys.stdout.flush()

    def say(self, text: str) -> None:
        """Print a line for people on standard error."""
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def show(self, text: str) -> None:
        """Print a result for people on standard output; nothing when JSON is wanted."""
        if not self.wants_json:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    def show_table(self, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> None:
        """Print a table for people on standard output; nothing when JSON is wanted."""
        if self.wants_json:
            return
        from rich.console import Console
        from rich.table import Table

        # Into a file or a pipe lines are not folded at the width of a screen that is not there.
        console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)
        table = Table(title=title, title_justify="left")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(as_text(value) for value in row))
        console.print(table, markup=False)


def as_text(value: Any) -> str:
    """Return a value as people read it: local time to the second, thousands separators, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return _float_as_text(value) if isinstance(value, float) else str(value)


def _float_as_text(value: float) -> str:
    if value.is_integer():
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.4f}"


def _as_json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else str(value)
