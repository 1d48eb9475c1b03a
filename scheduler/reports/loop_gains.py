"""What a retraining brought: what the gate measured on later outcomes, and what became of it afterwards. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from db.retraining.loop_history import LoopDecision, LoopNight, LoopTraining
from db.schema.states import JobTask

_NAMES = {"roc_auc": "ROC AUC", "brier": "Brier score"}


@dataclass(frozen=True)
class Compared:
    """One figure of two models: new minus old, with the interval of the difference if it was measured."""

    figure: str
    before: float
    after: float
    difference: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Realised:
    """What outcomes say of some nights, next to what their scores predicted.

    `expected_bad_rate` and `expected_roc_auc` are the monitor's, for all records of these nights; `predicted_bad_rate`
    is the mean score of the records with an outcome. ROC AUC and Brier score are means of nights, weighted by outcomes.
    """

    outcomes: int
    bad: int
    bad_rate: float | None
    predicted_bad_rate: float | None
    expected_bad_rate: float | None
    roc_auc: float | None
    expected_roc_auc: float | None
    brier: float | None


def realise(nights: Iterable[LoopNight]) -> Realised:
    """Add nights up."""
    known = list(nights)
    judged = [one for one in known if one.outcomes]
    outcomes, bad = sum(one.outcomes for one in judged), sum(one.bad for one in judged)
    return Realised(
        outcomes=outcomes,
        bad=bad,
        bad_rate=bad / outcomes if outcomes else None,
        predicted_bad_rate=_mean((one.figures.get("expected_bad_rate"), one.outcomes) for one in judged),
        expected_bad_rate=_mean((one.expected.get("bad_rate"), one.scored) for one in known),
        roc_auc=_mean((one.figures.get("roc_auc"), one.outcomes) for one in judged),
        expected_roc_auc=_mean((one.expected.get("auc"), one.scored) for one in known),
        brier=_mean((one.figures.get("brier"), one.outcomes) for one in judged),
    )


def measured_gain(decision: LoopDecision) -> list[Compared]:
    """Return what the gate measured on outcomes later than the training data; empty if it compared nothing."""
    checks = {one.get("name"): one.get("figures") or {} for one in decision.checks}
    of_gain: dict[str, Any] = checks.get("gain") or {"ROC AUC": checks.get("roc_auc") or {}}
    compared = {name: one for name, one in of_gain.items() if isinstance(one, dict)}  # besides how often it was judged
    return [found for name, one in compared.items() if (found := _read(name, one)) is not None]


def watched_gain(version: str, trainings: Sequence[LoopTraining]) -> tuple[list[Compared], int | None]:
    """Return the newest comparison of a champion with the one before it on later outcomes, and how many these were.

    Both models scored the same records, so it is the best answer to what the change brought.
    """
    for one in reversed(trainings):
        if one.task is JobTask.WATCH and one.options.get("version") == version:
            found = _read("Brier score", one.result.get("brier") or {})
            if found is not None:
                return [found], one.result.get("outcomes")
    return [], None


def compare_nights(before: Realised, after: Realised) -> list[Compared]:
    """Compare the realised figures of two models, each on its own nights: other records, so without an interval."""
    pairs = ((title, getattr(before, name), getattr(after, name)) for name, title in _NAMES.items())
    return [
        Compared(title, old, new, new - old) for title, old, new in pairs if isinstance(old, float) and new is not None
    ]


def _read(name: str, figures: Mapping[str, Any]) -> Compared | None:
    """A difference as the gate stores it; None if it is none."""
    values = [figures.get(key) for key in ("champion", "challenger", "difference")]
    interval = figures.get("interval") or [None, None]
    if not all(isinstance(one, int | float) for one in values) or len(interval) != 2:
        return None
    before, after, difference = (float(one or 0.0) for one in values)
    return Compared(name, before, after, difference, *interval)


def _mean(pairs: Iterable[tuple[float | None, int]]) -> float | None:
    """The mean of the known values, by their weights."""
    known = [(value, weight) for value, weight in pairs if value is not None and weight]
    total = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / total if total else None
