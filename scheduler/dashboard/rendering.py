"""Renders pages: templates, values shared by all pages, formats of numbers and times."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from scheduler.dashboard.access import Visitor

HERE = Path(__file__).parent
STATIC = HERE / "static"
_MEGABYTE = 1024**2
# The notice after a form was sent; the address contains only its name.
_DONE = {
    "cancel": "The job is cancelled.",
    "pause": "The job is paused.",
    "resume": "The job continues.",
    "retry": "The job runs its failed shards again.",
    "submitted": "The job is submitted.",
    "promote": "The champion was changed.",
    "rollback": "The previous champion was restored.",
    "hold": "Automatic fine-tuning and promotion have stopped.",
    "release": "Automatic fine-tuning and promotion have resumed.",
}


class Pages:
    """The templates, and their shared values."""

    def __init__(self) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {
            "number": write_number, "moment": write_moment, "cell": write_cell, "share": write_share,
            "duration": write_duration, "memory": write_memory,
        }  # fmt: skip
        content = b"".join(path.read_bytes() for path in sorted(STATIC.iterdir()))
        known: dict[str, Any] = self._templates.globals
        known["fresh"] = hashlib.sha256(content).hexdigest()[:12]

    def render(self, template: str, values: Mapping[str, Any]) -> str:
        """Return a page, or a part of one."""
        return self._templates.get_template(template).render(values)


def pages_of(request: Request) -> Pages:
    """Return the pages of the application that serves a request."""
    return cast("Pages", request.app.state.pages)


def show(request: Request, visitor: Visitor, template: str, **values: Any) -> HTMLResponse:
    """Return a page for someone who is signed in."""
    notice = _DONE.get(request.query_params.get("done", ""))
    known = {"visitor": visitor, "path": request.url.path, "notice": notice}
    return HTMLResponse(pages_of(request).render(template, known | values))


def write_number(value: float | None) -> str:
    """Return a number for people.

    >>> [write_number(one) for one in (25800, 0.031442, 1234.5, None)]
    ['25,800', '0.03144', '1,234', '–']
    """
    if value is None:
        return "–"
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def write_share(value: float | None) -> str:
    """Return a share in per cent.

    >>> write_share(0.034)
    '3.4 %'
    """
    return "–" if value is None else f"{value * 100:.3g} %"


def write_moment(value: datetime | None) -> Markup:
    """Return a time in UTC."""
    if value is None:
        return Markup("–")
    moment = value.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(moment.isoformat(), f"{moment:%Y-%m-%d %H:%M:%S} UTC")


def write_duration(seconds: float | None) -> str:
    """Return a duration.

    >>> [write_duration(one) for one in (2.14, 75, 7300, None)]
    ['2.1 s', '1 min 15 s', '2 h 1 min', '–']
    """
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def write_memory(count: int | None) -> str:
    """Return bytes as mebibytes."""
    return "–" if count is None else f"{count / _MEGABYTE:,.0f} MiB"


def write_cell(value: Any) -> Markup:
    """Return any value of a table."""
    if isinstance(value, datetime):
        return write_moment(value)
    if isinstance(value, bool):
        return Markup("yes") if value else Markup("no")
    if isinstance(value, float | int):
        return escape(write_number(value))
    if isinstance(value, list | tuple):
        return Markup(", ").join(write_cell(one) for one in cast("list[Any]", value))
    return Markup("–") if value is None else escape(str(value))
