"""The chart of the Customer page: one record's points over time."""

from collections.abc import Mapping, Sequence
from typing import Any

from db.events.wording import counted
from db.results.score_history import PersonScore
from scheduler.dashboard.charts.drawing import Chart, Palette, Table

_LABELLED = 10


def customer_chart(found: Sequence[PersonScore], texts: Mapping[str, str]) -> Chart:
    """Points of each night, oldest first; hollow if the scores are unusable. `texts` are those of reason codes."""
    scored = [one for one in found if one.points is not None]

    def draw(figure: Any, palette: Palette) -> None:
        axes = figure.subplots()
        places = list(range(len(scored)))
        axes.plot(places, [one.points for one in scored], color=palette.second, linewidth=1.2)
        for place, one in zip(places, scored, strict=True):
            inside = palette.second if one.unusable_reason is None else palette.paper
            axes.plot(place, one.points, "o", color=palette.second, markerfacecolor=inside)
            axes.annotate(f" {one.band}", (place, one.points), fontsize=8, va="bottom")
        step = max(1, -(-len(scored) // _LABELLED))
        labels = [f"{one.finished_at:%m-%d}\njob {one.job_id}" for one in scored[::step]]
        axes.set_xticks(places[::step], labels, fontsize=7)
        axes.set(ylabel="points (higher is safer)")
        axes.margins(y=0.2)

    columns = ("scored at", "job", "model", "points", "band", "probability", "reasons", "unusable because")
    rows = [_row(one, texts) for one in found]
    said = f"The points of {counted(len(scored), 'night')}; the table lists each with its reasons."
    return Chart("customer", "Score over time", said, Table(columns, rows), draw)


def _row(one: PersonScore, texts: Mapping[str, str]) -> tuple[Any, ...]:
    why = one.unusable_reason or (None if one.rejected is None else f"rejected: {one.rejected}")
    reasons = "; ".join(texts.get(code, code) for code in one.reasons)
    score = (one.points, one.band, one.probability, reasons)
    return (f"{one.finished_at:%Y-%m-%d %H:%M}", one.job_id, one.model_version, *score, why)
