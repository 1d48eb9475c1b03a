"""The chart of the Loop page: nights in the colours of their models, bad rates, and what happened to the champion."""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from db.events.wording import counted
from db.retraining.loop_history import LoopDecision, LoopNight
from scheduler.dashboard.charts.drawing import Chart, Palette, Table
from scheduler.reports.loop_report import LoopReport

MOST_NIGHTS = 240
_LABELLED_NIGHTS = 12
_MODEL_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")  # Okabe and Ito
_MODELS_IN_LEGEND = 6
_NIGHTS_WITH_MARKERS = 80  # with more, the markers would hide each other
# Marker, verdict's colour and height of what happened to a model: two at once stay readable, also without colour.
_HAPPENED = {
    "promoted": ("^", "stable", 0.97),
    "rolled back": ("v", "broken_pipeline", 0.91),
    "refused": ("x", "drifted", 0.85),
    "undecided": ("d", "insufficient", 0.79),
}
_HEADROOM = 1.35  # above the highest rate, for the markers


def timeline_chart(report: LoopReport) -> Chart:
    """Expected and realised bad rate of each night, over the model that scored it; decisions between the nights."""
    nights = report.nights[-MOST_NIGHTS:]
    first = nights[0].created_at if len(nights) < len(report.nights) else None
    happened = [one for one in report.decisions if _name(one) is not None and (first is None or one.at >= first)]

    def draw(figure: Any, palette: Palette) -> None:
        axes, strip = figure.subplots(2, 1, sharex=True, height_ratios=[5, 1])
        _draw_rates(axes, nights, palette)
        _draw_decisions(axes, nights, happened, palette)
        _draw_models(strip, nights, palette)
        step = max(1, math.ceil(len(nights) / _LABELLED_NIGHTS))
        strip.set_xticks(range(0, len(nights), step), [one.date for one in nights[::step]], rotation=45)
        if nights or happened:
            figure.legend(loc="outside upper right", fontsize=7, ncols=4)

    judged = sum(1 for one in nights if one.outcomes)
    said = (
        f"{counted(len(nights), 'night')} with the expected bad rate, {judged:,} of them with the realised one, and "
        f"{counted(len(happened), 'decision')} about models. The table below holds every number."
    )
    title = "Bad rate expected and realised, the champion, and decisions"
    return Chart("timeline", title, said, Table(_COLUMNS, _rows(nights, happened)), draw, 4.2)


def _draw_rates(axes: Any, nights: Sequence[LoopNight], palette: Palette) -> None:
    expected = [(place, rate) for place, one in enumerate(nights) if (rate := _expected(one)) is not None]
    realised = [(place, rate) for place, one in enumerate(nights) if (rate := _realised(one)) is not None]
    if expected:
        places, rates = zip(*expected, strict=True)
        shown = [rate * 100 for rate in rates]
        marker = "." if len(nights) <= _NIGHTS_WITH_MARKERS else ""
        axes.plot(places, shown, color=palette.first, linewidth=1.4, marker=marker, label="expected bad rate")
    if realised:
        places, rates = zip(*realised, strict=True)
        axes.scatter(
            places,
            [rate * 100 for rate in rates],
            color=palette.ink,
            s=16 if len(nights) <= _NIGHTS_WITH_MARKERS else 5,
            zorder=3,
            label="realised bad rate",
        )
    highest = max((rate for _, rate in (*expected, *realised)), default=0.0)
    axes.set(ylabel="bad rate, %", ylim=(0, highest * 100 * _HEADROOM or 1))


def _draw_decisions(axes: Any, nights: Sequence[LoopNight], happened: Sequence[LoopDecision], palette: Palette) -> None:
    top = axes.get_xaxis_transform()  # places along the nights, heights as shares of the axes
    for name, (marker, colour, height) in _HAPPENED.items():
        places = [_place(nights, one.at) for one in happened if _name(one) == name]
        if not places:
            continue
        ink = palette.verdicts[colour]
        if name != "undecided":
            axes.vlines(places, 0, height, transform=top, color=ink, linewidth=0.8, linestyle=":")
        style = {"marker": marker, "color": ink, "label": name, "zorder": 4}
        axes.scatter(places, [height] * len(places), transform=top, clip_on=False, **style)


def _draw_models(strip: Any, nights: Sequence[LoopNight], palette: Palette) -> None:
    """One bar a night in its model's colour; a night that is not to be used is left hollow."""
    versions = list(dict.fromkeys(one.model_version for one in nights))
    for number, version in enumerate(versions):
        colour = _MODEL_COLOURS[number % len(_MODEL_COLOURS)]
        places = [place for place, one in enumerate(nights) if one.model_version == version]
        fills = [palette.paper if nights[place].unusable_reason else colour for place in places]
        label = version[:14] if len(versions) <= _MODELS_IN_LEGEND else None
        strip.bar(places, 1, width=1.0, color=fills, edgecolor=colour, linewidth=0.6, label=label)
    strip.set_yticks([])
    strip.set(ylabel="model")


def _place(nights: Sequence[LoopNight], at: datetime) -> float:
    """Where something happened along the nights: after the last one that had begun."""
    return sum(one.created_at <= at for one in nights) - 0.5


def _name(one: LoopDecision) -> str | None:
    """What a decision did to a model; None if it changed none."""
    if one.action == "rollback":
        return "rolled back"
    if one.action in ("hold", "release", "scrub"):
        return None
    if one.promoted:
        return "promoted"
    return "undecided" if one.action == "undecided" else "refused"


def _expected(one: LoopNight) -> float | None:
    """The monitor's estimate for all records, else the mean score of the records with an outcome."""
    rate = one.expected.get("bad_rate")
    return one.figures.get("expected_bad_rate") if rate is None else rate


def _realised(one: LoopNight) -> float | None:
    return one.bad / one.outcomes if one.outcomes else None


_COLUMNS = ("night", "job", "model", "verdict", "expected bad rate", "realised bad rate", "outcomes", "then")


def _rows(nights: Sequence[LoopNight], happened: Sequence[LoopDecision]) -> list[tuple[Any, ...]]:
    """A row for each night, with what happened between it and the next one."""
    after: dict[int, list[str]] = {}
    for one in happened:
        after.setdefault(math.floor(_place(nights, one.at)), []).append(f"{one.version} {_name(one)}")
    rows: list[tuple[Any, ...]] = []
    for place, one in enumerate(nights):
        verdict = "" if one.verdict is None else one.verdict.value
        rates = (_expected(one), _realised(one))
        then = "; ".join(after.get(place, []))
        rows.append((one.date, one.job_id, one.model_version, verdict, *rates, one.outcomes, then))
    return rows
