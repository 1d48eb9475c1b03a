"""The Loop page as one file: style, chart and tables in a single HTML document, to be sent and printed."""

from base64 import b64encode
from datetime import datetime
from pathlib import Path

from scheduler.dashboard.charts.drawing import FileFormat, Scheme, Width, save_chart
from scheduler.dashboard.charts.loop_chart import timeline_chart
from scheduler.dashboard.rendering import STATIC, Pages
from scheduler.errors import UsageError
from scheduler.reports.loop_report import LoopReport
from scheduler.reports.loop_sections import tell_what_is_missing, tell_what_is_next, write_sections


def check_target(path: Path) -> None:
    """Raise `UsageError` if the page cannot be written there."""
    if path.suffix.lower() != ".html":
        raise UsageError(f"{path}: expected a file name ending in .html")
    if not path.parent.is_dir():
        raise UsageError(f"the folder {path.parent} does not exist; create it first")


def render_file(report: LoopReport, made_at: datetime) -> str:
    """Return the page with every night; it loads nothing."""
    chart = timeline_chart(report)
    picture = save_chart(chart, FileFormat.SVG, Scheme.LIGHT, Width.WIDE)
    said, why = tell_what_is_next(report)
    values = {
        "report": report,
        "chart": chart,
        "picture": b64encode(picture).decode("ascii"),
        "style": (STATIC / "style.css").read_text(encoding="utf-8"),
        "sections": write_sections(report, report.nights),
        "missing": tell_what_is_missing(report),
        "said": said,
        "why": why,
        "made_at": made_at,
    }
    return Pages().render("loop_file.html", values)
