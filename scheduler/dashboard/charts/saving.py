"""Sends a chart as a picture of a page, or as a file to save."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from fastapi.responses import Response

from scheduler.dashboard.charts.drawing import MEDIA_TYPES, Chart, FileFormat, Scheme, Width, save_chart

# A picture brings its own style; it can load and run nothing.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'"


@dataclass(frozen=True)
class Look:
    """How an address asks for a chart; with `save` a browser keeps it as a file."""

    file_format: FileFormat
    scheme: Scheme = Scheme.LIGHT
    width: Width = Width.WIDE
    save: bool = False


Wanted = Annotated[Look, Depends()]


def send_chart(chart: Chart, look: Look, *, file_name: str) -> Response:
    """Return the chart; `file_name` is without its ending."""
    headers = {"Content-Security-Policy": _POLICY}
    if look.save:
        headers["Content-Disposition"] = f'attachment; filename="{file_name}.{look.file_format}"'
    content = save_chart(chart, look.file_format, look.scheme, look.width)
    return Response(content, headers=headers, media_type=MEDIA_TYPES[look.file_format])
