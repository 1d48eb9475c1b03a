"""Errors in a data file that a user names."""

import difflib
from collections.abc import Mapping, Sequence

from scheduler.errors import UsageError

_SHOWN_COLUMNS = 5


class DataFileError(UsageError):
    """A data file cannot be read; `line` is its physical line, from 1, if known."""

    def __init__(self, where: str, message: str, line: int | None = None) -> None:
        self.where = where
        self.line = line
        super().__init__(f"{where}: {message}" if line is None else f"{where}:{line}: {message}")


class DataTooLargeError(DataFileError):
    """A data file is too large to be loaded, or decodes to too much."""


class MissingColumnError(DataFileError):
    """The file lacks columns that the portfolio names; `uses` says where the portfolio names each of them."""

    def __init__(self, where: str, uses: Mapping[str, str], names: Sequence[str]) -> None:
        self.columns = tuple(uses)
        listed = [f"{column} ({use}{_nearest(column, names)})" for column, use in uses.items()]
        more = f" and {len(listed) - _SHOWN_COLUMNS} more" if len(listed) > _SHOWN_COLUMNS else ""
        noun = "column" if len(listed) == 1 else "columns"
        super().__init__(where, f"the file lacks the {noun} {', '.join(listed[:_SHOWN_COLUMNS])}{more}")


def _nearest(column: str, names: Sequence[str]) -> str:
    by_folded = {name.casefold(): name for name in names}
    close = difflib.get_close_matches(column.casefold(), by_folded, n=1)
    return f", nearest in the file: {by_folded[close[0]]}" if close else ""
