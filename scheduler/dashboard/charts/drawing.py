"""A chart, and its output as SVG, PNG or CSV: light or dark, wide or narrow."""

import csv
import io
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from scheduler.reports.night_report import COLOURS
from scheduler.reports.result_streams import safe_cell

_INCHES = {"wide": 6.6, "narrow": 4.4}
_DOTS_AN_INCH = 150
_INKS = ("text.color", "axes.labelcolor", "xtick.color", "ytick.color")
# matplotlib keeps its settings in one place for all threads.
_DRAWING = threading.Lock()


class FileFormat(StrEnum):
    """The file formats of a chart."""

    SVG = "svg"
    PNG = "png"
    CSV = "csv"


MEDIA_TYPES = {
    FileFormat.SVG: "image/svg+xml",
    FileFormat.PNG: "image/png",
    FileFormat.CSV: "text/csv; charset=utf-8",
}


class Scheme(StrEnum):
    """Ink on paper, or light on dark."""

    LIGHT = "light"
    DARK = "dark"


class Width(StrEnum):
    """The width of the window; the font size is the same."""

    WIDE = "wide"
    NARROW = "narrow"


@dataclass(frozen=True)
class Palette:
    """The colours of a scheme; `first` and `second` can be distinguished without seeing red or green."""

    paper: str
    ink: str
    faint: str
    first: str
    second: str
    heat: str
    verdicts: dict[str, str]
    states: dict[str, str]


_STATES = {
    "waiting": "#8b99ab", "running": "#2f7fd6", "done": "#2e8b57", "failed": "#c8402f", "cancelled": "#9c6ade",
    "split": "#c98a1b",
}  # fmt: skip
PALETTES = {
    Scheme.LIGHT: Palette("#ffffff", "#1b2a41", "#9aa5b1", "#6b7c93", "#0b6fae", "Blues", COLOURS, _STATES),
    Scheme.DARK: Palette(
        "#18212e", "#e4eaf2", "#65758a", "#9fb0c4", "#5bb8f0", "cividis",
        {"stable": "#4cc38a", "watch": "#f0b429", "drifted": "#ff7a66", "broken_pipeline": "#c59be8",
         "insufficient": "#a9b4c2"},
        _STATES | {"done": "#3fae75", "failed": "#ee6352", "running": "#55a5f5"},
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Table:
    """Rows under named columns: what a chart draws, or more."""

    columns: tuple[str, ...]
    rows: Iterable[tuple[Any, ...]]


@dataclass(frozen=True)
class Chart:
    """A drawing with its table. `said` is its text alternative; `height` is in inches."""

    name: str
    title: str
    said: str
    table: Table
    draw: Callable[[Any, Palette], None]
    height: float = 3.4


def save_chart(chart: Chart, file_format: FileFormat, scheme: Scheme, width: Width) -> bytes:
    """Return the chart as a file; as CSV it is its table, with no cell that a spreadsheet would run."""
    if file_format is FileFormat.CSV:
        return write_csv(chart.table)
    with _DRAWING:
        return _draw(chart, file_format, PALETTES[scheme], _INCHES[width])


def write_csv(table: Table) -> bytes:
    """Return a table as CSV in UTF-8."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([safe_cell(cell) for cell in row] for row in table.rows)
    return text.getvalue().encode()


def _draw(chart: Chart, file_format: FileFormat, palette: Palette, inches: float) -> bytes:
    from matplotlib import rc_context  # noqa: PLC0415 - a second to import, at the first chart
    from matplotlib.figure import Figure  # noqa: PLC0415 - the same

    settings: Any = {"svg.hashsalt": chart.name, "font.size": 9, "text.parse_math": False} | _colours(palette)
    with rc_context(settings):
        figure = Figure(figsize=(inches, chart.height), layout="constrained", facecolor=palette.paper)
        chart.draw(figure, palette)
        for axes in figure.axes:
            axes.spines[["top", "right"]].set_visible(False)
        file = io.BytesIO()
        metadata = {"Date": None} if file_format is FileFormat.SVG else None
        figure.savefig(file, format=file_format.value, dpi=_DOTS_AN_INCH, metadata=metadata)
    return file.getvalue()


def _colours(palette: Palette) -> dict[Any, Any]:
    inks: dict[Any, Any] = dict.fromkeys(_INKS, palette.ink)
    lines = {"axes.edgecolor": palette.faint, "axes.facecolor": palette.paper, "grid.color": palette.faint}
    return inks | lines | {"legend.frameon": False}
