"""The charts of the Job page: rejects by reason, and the map of the shards as a picture to save."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from db.events.wording import counted
from db.ledger.shard_map import ShownShard
from db.schema.states import ShardState
from scheduler.dashboard.charts.cells import Cell
from scheduler.dashboard.charts.drawing import Chart, Palette, Table


def rejects_chart(rejects: Mapping[str, int]) -> Chart:
    """How many records were rejected, by reason."""
    ordered = sorted(rejects.items(), key=lambda one: one[1])

    def draw(figure: Any, palette: Palette) -> None:
        axes = figure.subplots()
        bars = axes.barh([name for name, _ in ordered], [count for _, count in ordered], color=palette.second)
        axes.bar_label(bars, fmt="{:,.0f}", padding=3)
        axes.set(xlabel="records")
        axes.margins(x=0.15)

    said = f"{counted(sum(rejects.values()), 'rejected record')} by reason."
    rows: list[tuple[Any, ...]] = list(reversed(ordered))
    return Chart("rejects", "Rejects by reason", said, Table(("reason", "records"), rows), draw, 1.1 + 0.3 * len(rows))


def shards_chart(cells: Sequence[Cell], shards: Iterable[ShownShard]) -> Chart:
    """The map of a job's shards as squares in the colours of their states, in the order of the book.

    `shards` are the rows of its table, which is read where it is asked for.
    """
    side = max(1, math.ceil(math.sqrt(len(cells) * 2.5)))
    states, count = list(ShardState), sum(sum(one.group.states.values()) for one in cells)

    def draw(figure: Any, palette: Palette) -> None:
        from matplotlib.colors import ListedColormap  # noqa: PLC0415 - slow to import, and needed here alone
        from matplotlib.patches import Patch  # noqa: PLC0415 - the same

        axes = figure.subplots()
        squares = np.full(math.ceil(max(1, len(cells)) / side) * side, np.nan)
        squares[: len(cells)] = [states.index(one.state) for one in cells]
        colours = ListedColormap([palette.states[state] for state in states])
        axes.pcolormesh(
            squares.reshape(-1, side)[::-1], cmap=colours, vmin=-0.5, vmax=len(states) - 0.5, edgecolors=palette.paper
        )
        axes.set_axis_off()
        found = [state for state in states if any(state in one.group.states for one in cells)]
        patches = [Patch(color=palette.states[state], label=str(state)) for state in found]
        figure.legend(handles=patches, loc="outside lower center", ncols=6)

    columns = ("shard", "state", "attempts", "worker", "expected", "scored", "rejected", "finished", "error")
    rows = (
        (one.ordinal, str(one.state), one.attempt, one.worker, one.expected, one.scored, one.rejected, at, one.error)
        for one, at in ((one, None if one.finished_at is None else one.finished_at.isoformat()) for one in shards)
    )
    return Chart("shards", "Shards", f"The states of {counted(count, 'shard')}.", Table(columns, rows), draw, 2.6)
