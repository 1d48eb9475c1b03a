"""The charts of the Drift page: scores against the reference, nights over time, fields that moved, bands."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from db.events.wording import counted
from db.portfolios.monitoring_policy import MonitoringPolicy
from scheduler.dashboard.charts.drawing import Chart, Palette, Table
from scheduler.reports.night_report import ShownNight

_BINS = 36
_DRAWN_FIELDS = 12
_LABELLED_NIGHTS = 12
# A verdict also has its own marker shape, so that colour is not needed.
_MARKERS = {"stable": "o", "watch": "^", "drifted": "s", "broken_pipeline": "X", "insufficient": "d"}


def scores_chart(reference: Mapping[str, int], night: Mapping[str, int], night_label: str) -> Chart:
    """The distribution of the night's points, compared with the reference; both are counts by points."""
    edges = _edges([int(point) for point in (*reference, *night)])
    counts = [_count(points, edges) for points in (reference, night)]
    shares = [one / max(1, one.sum()) for one in counts]

    def draw(figure: Any, palette: Palette) -> None:
        axes = figure.subplots()
        axes.stairs(shares[0] * 100, edges, fill=True, color=palette.first, alpha=0.35, label=night_label)
        axes.stairs(shares[1] * 100, edges, color=palette.second, linewidth=2, label="this night")
        axes.set(xlabel="points (higher is safer)", ylabel="% of the records")
        axes.legend(loc="upper left")

    rows = [
        (f"{low} to {high - 1}", int(a), round(float(x), 5), int(b), round(float(y), 5))
        for low, high, a, x, b, y in zip(edges[:-1], edges[1:], counts[0], shares[0], counts[1], shares[1], strict=True)
    ]
    table = Table(("points", "reference", "share of it", "night", "share of the night"), rows)
    said = f"The night's scores against the reference ({night_label}); the table below holds every number."
    return Chart("scores", "Scores against the reference", said, table, draw)


def nights_chart(nights: Sequence[ShownNight], policy: MonitoringPolicy) -> Chart:
    """PSI of each night with its interval and verdict, over the bounds of the portfolio; oldest first."""
    drawn = [one for one in nights if one.report.figures.get("psi_corrected") is not None]

    def draw(figure: Any, palette: Palette) -> None:
        axes = figure.subplots()
        places = list(range(len(drawn)))
        psi = [one.report.figures["psi_corrected"] for one in drawn]
        lows, highs = zip(*(_interval(one) for one in drawn), strict=True) if drawn else ((), ())
        axes.vlines(places, lows, highs, color=palette.faint)
        axes.plot(places, psi, color=palette.faint, linewidth=0.8)
        for verdict, colour in palette.verdicts.items():
            chosen = [place for place in places if drawn[place].report.verdict == verdict]
            if chosen:
                style = {"marker": _MARKERS[verdict], "color": colour, "label": verdict.replace("_", " ")}
                axes.scatter(chosen, [psi[place] for place in chosen], zorder=3, **style)
        for bound, name in ((policy.watch_psi, "watch"), (policy.drifted_psi, "drifted")):
            axes.axhline(bound, linestyle=":", color=palette.verdicts[name])
            axes.annotate(f"{name} {bound:g}", (0, bound), fontsize=7, va="bottom", color=palette.verdicts[name])
        step = max(1, math.ceil(len(drawn) / _LABELLED_NIGHTS))
        axes.set_xticks(places[::step], [one.date[5:] for one in drawn[::step]], rotation=45)
        axes.set(ylabel="PSI, 95 % interval")
        if drawn:
            figure.legend(loc="outside upper right", fontsize=7, ncols=3)

    said = f"PSI of {counted(len(drawn), 'night')}, with the bounds {policy.watch_psi:g} and {policy.drifted_psi:g}."
    return Chart("nights", "Nights over time", said, Table(_NIGHT_COLUMNS, [_night_row(one) for one in nights]), draw)


def fields_chart(fields: Mapping[str, Mapping[str, Any]], policy: MonitoringPolicy) -> Chart:
    """The columns that moved most, by PSI."""
    ordered = sorted(fields, key=lambda name: -float(fields[name].get("psi_corrected") or 0.0))
    drawn = ordered[:_DRAWN_FIELDS][::-1]

    def draw(figure: Any, palette: Palette) -> None:
        axes = figure.subplots()
        axes.barh([_shortened(name) for name in drawn], [_psi(fields[name]) for name in drawn], color=palette.second)
        axes.axvline(policy.drifted_psi, linestyle=":", color=palette.verdicts["drifted"])
        axes.axvline(0, color=palette.faint, linewidth=0.8)
        axes.set(xlabel="PSI against the reference")

    names = ("psi_corrected", "missing", "missing_reference", "unseen", "unseen_reference", "records")
    rows = [(name, *(fields[name].get(one) for one in names)) for name in ordered]
    columns = ("field", "PSI", "missing", "missing before", "never seen", "not seen in training", "records")
    said = f"The fields that moved most: {len(drawn)} of {len(ordered)}; the table lists all of them."
    height = 1.2 + 0.26 * max(3, len(drawn))
    return Chart("fields", "Fields that moved most", said, Table(columns, rows), draw, height)


def migration_chart(migration: Mapping[str, Any]) -> Chart:
    """How records moved between the bands of the previous night and those of this one."""
    bands, counts = list(migration["bands"]), np.asarray(migration["counts"], dtype=float)
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))

    def draw(figure: Any, palette: Palette) -> None:
        axes = figure.subplots()
        axes.imshow(shares, cmap=palette.heat, vmin=0, vmax=1, aspect="auto")
        for row, column in np.argwhere(counts > 0):
            # Dark letters on the bright cells, bright ones on the dark cells.
            is_bright = (shares[row, column] < 0.5) == (palette.heat == "Blues")
            ink = "#10151c" if is_bright else "#ffffff"
            text = f"{shares[row, column]:.0%}"
            axes.text(column, row, text, ha="center", va="center", fontsize=7, color=ink)
        axes.set_xticks(range(len(bands)), bands)
        axes.set_yticks(range(len(bands)), bands)
        axes.set(xlabel="band this night", ylabel="band the night before")

    rows = [(band, *(int(cell) for cell in row)) for band, row in zip(bands, counts, strict=True)]
    said = f"{migration['moved_share']:.1%} of {counted(migration['matched'], 'record')} changed their band."
    return Chart("migration", "Migration of bands", said, Table(("from", *bands), rows), draw, 3.8)


_NIGHT_COLUMNS = ("night", "job", "verdict", "PSI", "from", "to", "shift", "expected bad rate", "model", "why")


def _night_row(night: ShownNight) -> tuple[Any, ...]:
    figures = night.report.figures
    low, high = figures.get("psi_interval") or (None, None)
    expected = (figures.get("expected") or {}).get("bad_rate")
    values = (figures.get("psi_corrected"), low, high, figures.get("shift"), expected)
    why = "; ".join(figures.get("reasons") or [])
    return (night.date, night.report.job_id, str(night.report.verdict), *values, night.report.model_version, why)


def _interval(night: ShownNight) -> tuple[float, float]:
    figures = night.report.figures
    low, high = figures.get("psi_interval") or (figures["psi_corrected"], figures["psi_corrected"])
    return low, high


def _psi(field: Mapping[str, Any]) -> float:
    return float(field.get("psi_corrected") or 0.0)


def _shortened(name: str) -> str:
    return name if len(name) <= 24 else f"{name[:23]}…"


def _edges(points: Sequence[int]) -> list[int]:
    """Return the limits of bins of equal, whole width that hold every value."""
    low, high = (min(points), max(points)) if points else (0, 0)
    width = max(1, math.ceil((high - low + 1) / _BINS))
    return list(range(low, high + width + 1, width))


def _count(points: Mapping[str, int], edges: Sequence[int]) -> Any:
    values = [int(point) for point in points]
    return np.histogram(values, bins=[*edges], weights=[float(one) for one in points.values()])[0]
