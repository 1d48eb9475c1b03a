"""Draws a bar for people on standard error while the frames of a data file go by."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def with_progress(frames: Iterator["pd.DataFrame"], total: int | None, what: str) -> Iterator["pd.DataFrame"]:
    """Yield the frames as they are; `total` is the expected number of rows, `what` their name."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("loading"), BarColumn(), MofNCompleteColumn(), TextColumn(what), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("loading", total=total)
        for frame in frames:
            yield frame
            progress.advance(task, len(frame))
