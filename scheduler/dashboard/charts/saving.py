"""Sends a chart as a picture of a page, or as a file to save."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from fastapi.responses import Response

from scheduler.dashboard.charts.drawing import MEDIA_TYPES, Chart, FileFormat, Scheme, Width, save_chart

# A picture brings its own style; it can load and run nothing.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'"


@dataclass(frozen=True)
class ChartOptions:
    """The options of a chart's address; with `save` a browser stores it as a file."""

    file_format: FileFormat
    scheme: Scheme = Scheme.LIGHT
    width: Width = Width.WIDE
    save: bool = False


Wanted = Annotated[ChartOptions, Depends()]


def send_chart(chart: Chart, options: ChartOptions, *, file_name: str) -> Response:
    """Return the chart; `file_name` is without its ending."""
    headers = {"Content-Security-Policy": _POLICY}
    if options.save:
        headers["Content-Disposition"] = f'attachment; filename="{file_name}.{options.file_format}"'
    content = save_chart(chart, options.file_format, options.scheme, options.width)
    return Response(content, headers=headers, media_type=MEDIA_TYPES[options.file_format])
