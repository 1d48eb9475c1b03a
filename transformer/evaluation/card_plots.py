"""The plots of a model card, as PNG: calibration curve, score distribution, ROC and KS, importance."""

from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import beta
from sklearn.metrics import precision_recall_curve, roc_curve

Floats = NDArray[np.float64]

INK, GOOD, BAD, FAINT = "#1b2a41", "#2a7f9e", "#c8553d", "#9aa5b1"
_DOTS_AN_INCH = 110
_MOST_BARS = 15
_BINS = 10


def draw_calibration(target: Floats, probability: Floats) -> bytes:
    """Observed share of the bad event against the predicted one, in tenths of the records, with 95 % intervals."""
    figure, axes = _sheet("Calibration on held-out records", width=5.2, height=4.6)
    groups = [one for one in np.array_split(np.argsort(probability, kind="stable"), _BINS) if len(one)]
    predicted = np.array([probability[one].mean() for one in groups])
    bad, rows = np.array([target[one].sum() for one in groups]), np.array([len(one) for one in groups])
    observed = bad / rows
    low = np.nan_to_num(beta.ppf(0.025, bad, rows - bad + 1), nan=0.0)
    high = np.nan_to_num(beta.ppf(0.975, bad + 1, rows - bad), nan=1.0)
    top = 1.08 * max(high.max(), predicted.max())
    axes.plot([0, top], [0, top], color=FAINT, linewidth=1, linestyle="--", label="perfect")
    error_bars = np.stack([observed - low, high - observed])
    style = {"fmt": "o-", "color": GOOD, "ecolor": FAINT, "markersize": 5, "capsize": 2}
    axes.errorbar(predicted, observed, yerr=error_bars, linewidth=1.5, label="a tenth of the records, 95 %", **style)
    axes.set(xlim=(0, top), ylim=(0, top), xlabel="predicted probability", ylabel="observed share")
    axes.legend(frameon=False, loc="upper left")
    return _as_png(figure)


def draw_distribution(target: Floats, points: NDArray[np.int32]) -> bytes:
    """How the points of good and bad records are spread, each as shares of its own class."""
    figure, axes = _sheet("Points of held-out records (higher is safer)", width=6.4, height=4)
    edges = np.histogram_bin_edges(points, bins=min(40, max(5, int(np.sqrt(len(points))))))
    for outcome, colour, name in ((0, GOOD, "good"), (1, BAD, "bad")):
        mine = points[target == outcome]
        weights = np.full(len(mine), 100 / max(1, len(mine)))
        axes.hist(mine, bins=edges.tolist(), weights=weights, color=colour, alpha=0.55, label=f"{name} ({len(mine):,})")
    axes.set(xlabel="points", ylabel="% of the class")
    axes.legend(frameon=False)
    return _as_png(figure)


def draw_ranking(target: Floats, probability: Floats) -> bytes:
    """ROC curve with the KS distance, and precision over recall."""
    figure = Figure(figsize=(9.2, 4.3), layout="constrained")
    left, right = (_style(axes) for axes in figure.subplots(1, 2))
    false_rate, true_rate = (np.asarray(one, dtype=np.float64) for one in roc_curve(target, probability)[:2])
    widest = int((true_rate - false_rate).argmax())
    left.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle="--")
    left.plot(false_rate, true_rate, color=GOOD, linewidth=1.8)
    ends = [false_rate[widest], true_rate[widest]]
    left.plot([false_rate[widest]] * 2, ends, color=BAD, linewidth=1.5, label=f"KS {ends[1] - ends[0]:.3f}")
    left.set(
        xlabel="share of good records above the cut-off",
        ylabel="share of bad records above the cut-off",
        xlim=(0, 1),
        ylim=(0, 1),
    )
    left.set_title("ROC curve", loc="left", color=INK, fontsize=11)
    left.legend(frameon=False, loc="lower right")
    precision, recall, _ = precision_recall_curve(target, probability)
    right.plot(recall, precision, color=GOOD, linewidth=1.8)
    right.axhline(float(target.mean()), color=FAINT, linewidth=1, linestyle="--", label="without a model")
    right.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    right.set_title("Precision and recall", loc="left", color=INK, fontsize=11)
    right.legend(frameon=False, loc="upper right")
    return _as_png(figure)


def draw_importance(codes: tuple[str, ...], importance: tuple[float, ...]) -> bytes:
    """The codes that move scores most, by mean absolute Shapley value."""
    order = np.argsort(importance, kind="stable")[-_MOST_BARS:]
    names = [_shorten(codes[place]) for place in order]
    figure, axes = _sheet("What moves scores most", width=6.4, height=1.2 + 0.27 * len(names))
    axes.barh(names, [importance[place] for place in order], color=GOOD, height=0.65)
    axes.set(xlabel="mean absolute Shapley value, log-odds")
    axes.grid(visible=False, axis="y")
    return _as_png(figure)


def _shorten(name: str, most: int = 38) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _sheet(title: str, *, width: float, height: float) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = _style(figure.subplots())
    axes.set_title(title, loc="left", color=INK, fontsize=11)
    return figure, axes


def _style(axes: Any) -> Any:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=9)
    axes.grid(visible=True, color="#e3e7eb", linewidth=0.7)
    axes.set_axisbelow(True)
    return axes


def _as_png(figure: Figure) -> bytes:
    """Return the picture without the date and the version that matplotlib writes: equal figures are equal bytes."""
    FigureCanvasAgg(figure)
    written = BytesIO()
    figure.savefig(written, format="png", dpi=_DOTS_AN_INCH, metadata={"Software": None})
    return written.getvalue()
