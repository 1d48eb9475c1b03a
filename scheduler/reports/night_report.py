"""A portfolio's monitored nights: as documents, as bars for a terminal, as a chart."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from db.connections.engine import Engine
from db.ledger.job_lifecycle import get_job
from db.monitoring.drift_reports import DriftReport, list_reports
from scheduler.errors import UsageError

BAR_WIDTH = 30
FULL_BAR_PSI = 0.5  # a bar is full there
COLOURS = {
    "stable": "#2e8b57",
    "watch": "#e0a100",
    "drifted": "#c0392b",
    "broken_pipeline": "#6c3483",
    "insufficient": "#8a8a8a",
}


@dataclass(frozen=True)
class ShownNight:
    """One night with the date of its records, and the mark on its scores if there is one."""

    date: str
    report: DriftReport
    unusable_reason: str | None

    def to_document(self) -> dict[str, Any]:
        """Return everything known about the night."""
        report = self.report
        document = {"job": report.job_id, "date": self.date, "model_version": report.model_version}
        document |= {"verdict": report.verdict, "unusable_reason": self.unusable_reason, "calendar": report.calendar}
        return document | {"figures": report.figures}


def read_nights(engine: Engine, portfolio: str, *, limit: int) -> list[ShownNight]:
    """Return the last monitored nights of a portfolio, oldest first."""
    nights: list[ShownNight] = []
    for report in reversed(list_reports(engine, portfolio, limit=limit)):
        job = get_job(engine, report.job_id)
        date = job.definition.monitoring.date_of(job.options, job.created_at)
        nights.append(ShownNight(date.isoformat(), report, job.unusable_reason))
    return nights


def is_undecided(figures: dict[str, Any]) -> bool:
    """Whether the monitor suspects a fault in a night, and nobody has decided yet.

    >>> is_undecided({"suspicions": ["rows may be missing"]}), is_undecided({"suspicions": []})
    (True, False)
    """
    return bool(figures.get("suspicions")) and not figures.get("decision")


def row_of(night: ShownNight) -> tuple[Any, ...]:
    """Return the night as a row of `COLUMNS`."""
    figures = night.report.figures
    expected = figures.get("expected") or {}
    psi = figures.get("psi_corrected")
    why = "; ".join(figures.get("reasons") or [])
    return (
        *(night.date, night.report.job_id, night.report.verdict, psi, bar_of(psi), figures.get("shift")),
        *(expected.get("bad_rate"), night.report.model_version, why),
    )


COLUMNS = ("night", "job", "verdict", "PSI", f"0 to {FULL_BAR_PSI}", "shift", "expected bad rate", "model", "why")


def bar_of(psi: float | None) -> str:
    """Return a bar as long as the PSI is large.

    >>> bar_of(0.1)
    '██████'
    """
    return "" if psi is None else "█" * min(BAR_WIDTH, round(max(0.0, psi) / FULL_BAR_PSI * BAR_WIDTH))


def draw_nights(nights: list[ShownNight], portfolio: str, path: Path) -> None:
    """Write a chart of the nights: PSI with its interval and limits, and the shift of the mean below.

    Raises `UsageError` if nothing can be drawn or written.
    """
    shown = [one for one in nights if one.report.figures.get("psi_corrected") is not None]
    if path.suffix.lower() != ".png":
        raise UsageError(f"{path}: expected a file name ending in .png")
    if not path.parent.is_dir():
        raise UsageError(f"the folder {path.parent} does not exist")
    if not shown:
        raise UsageError(f"portfolio {portfolio} has no night with figures to draw")
    _draw(shown, portfolio).savefig(path, dpi=120)


def _draw(nights: list[ShownNight], portfolio: str) -> Any:
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import, and no other command draws

    figure = Figure(figsize=(10, 6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    places = list(range(len(nights)))
    figures = [one.report.figures for one in nights]
    psi = [one["psi_corrected"] for one in figures]
    colours = [COLOURS[one.report.verdict] for one in nights]
    lows, highs = zip(*(one["psi_interval"] for one in figures), strict=True)
    above.vlines(places, lows, highs, color="#b0b0b0")
    above.plot(places, psi, color="#b0b0b0", linewidth=0.8)
    for verdict, colour in COLOURS.items():
        chosen = [place for place, one in zip(places, nights, strict=True) if one.report.verdict == verdict]
        if chosen:
            above.scatter(chosen, [psi[place] for place in chosen], color=colour, zorder=3, label=verdict)
    above.axhline(0.1, linestyle=":", color="#e0a100")
    above.axhline(0.25, linestyle=":", color="#c0392b")
    above.set_ylabel("corrected PSI, 95 % interval")
    above.set_title(f"Nights of {portfolio}")
    above.legend(loc="upper left")
    below.bar(places, [one["shift"] or 0.0 for one in figures], color=colours)
    below.axhline(0.0, color="#404040", linewidth=0.8)
    below.set_ylabel("shift of the mean\n(standard deviations)")
    below.set_xticks(places, [f"{one.date}\njob {one.report.job_id}" for one in nights], rotation=60, fontsize=7)
    return figure
