"""Draws the demo's nights: how far the scores moved, how good they were, and which model was the champion."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from scheduler.demo.nights import Night

_COLOURS = {
    "stable": "#4c9a6a",
    "watch": "#e0b23c",
    "drifted": "#d2622a",
    "broken_pipeline": "#8e2a5a",
    "insufficient": "#9a9a9a",
}


def draw_nights(nights: Sequence[Night], folder: Path) -> list[Path]:
    """Write nights_psi.png and nights_auc.png into the folder and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    return [_draw_psi(nights, folder / "nights_psi.png"), _draw_auc(nights, folder / "nights_auc.png")]


def _draw_psi(nights: Sequence[Night], path: Path) -> Path:
    figure, axes = _begin("PSI of the night's points against the champion's reference")
    for verdict, colour in _COLOURS.items():
        chosen = [night for night in nights if night.verdict == verdict]
        if chosen:
            axes.bar([one.number for one in chosen], [one.psi or 0.0 for one in chosen], color=colour, label=verdict)
    axes.set_ylabel("PSI")
    return _end(figure, axes, nights, path)


def _draw_auc(nights: Sequence[Night], path: Path) -> Path:
    figure, axes = _begin("ROC AUC of each night on the later outcomes")
    axes.plot(
        [one.number for one in nights], [one.auc for one in nights], color="#28536b", marker="o", label="champion"
    )
    axes.set_ylabel("ROC AUC")
    return _end(figure, axes, nights, path)


def _begin(title: str) -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import, and no other command draws

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    axes: Any = figure.subplots()
    axes.set_title(title)
    return figure, axes


def _end(figure: Any, axes: Any, nights: Sequence[Night], path: Path) -> Path:
    """Draw lines where the champion changed, then write the file."""
    for before, after in pairwise(nights):
        if before.model != after.model:
            axes.axvline(after.number - 0.5, color="#555555", linestyle="--", linewidth=1)
            axes.annotate(
                f" {after.model[:7]}", (after.number - 0.5, 0.98), xycoords=("data", "axes fraction"), va="top"
            )
    axes.set_xlabel("night")
    axes.legend(loc="lower left")
    figure.savefig(path, dpi=110)
    return path
