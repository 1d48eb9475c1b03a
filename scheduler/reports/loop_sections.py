"""The report about a portfolio's loop as tables of text, the same in the dashboard, the file and the terminal. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from db.events.wording import counted
from db.retraining.loop_history import LoopNight
from db.retraining.next_look import tell_next
from scheduler.reports.loop_gains import Compared
from scheduler.reports.loop_report import LoopReport, ModelStory, Retraining, Totals

_NONE = "–"
_ENDINGS = {"gate": "replaced", "promote": "replaced by hand", "rollback": "rolled back", "scrub": "scrubbed"}


@dataclass(frozen=True)
class Section:
    """One table. `figures` names the columns of numbers, `days` those of dates; `note` says how to read it."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    figures: frozenset[str] = frozenset()
    note: str = ""

    @property
    def days(self) -> frozenset[str]:
        """The columns of dates, which are not to be broken into two lines."""
        return frozenset(
            {"when", "night", "after night", "trained", "champion from", "first", "last"} & set(self.columns)
        )


def write_sections(report: LoopReport, nights: Sequence[LoopNight]) -> list[Section]:
    """Return the tables of the page; `nights` are those to list, oldest first."""
    return [
        _totals(report.totals),
        _models(report.models),
        _realised(report.models),
        _retrainings(report.retrainings),
        _refusals(report),
        _trainings(report),
        _events(report),
        _nights(report, nights),
    ]


def tell_what_is_next(report: LoopReport) -> tuple[str, str]:
    """Return what the loop does next as a sentence, and the reason for it as another."""
    said, why = tell_next(report.next_look), report.next_look.why
    return said, "" if why in said else f"{why[0].upper()}{why[1:]}."


def tell_what_is_missing(report: LoopReport) -> str:
    """Return a sentence about lists that were cut; empty if everything is shown."""
    if not report.left_out:
        return ""
    return f"Only the newest rows are counted and shown of: {', '.join(report.left_out)}."


def _totals(totals: Totals) -> Section:
    realised = totals.realised
    usable = f"{totals.unusable_nights:,} of them unusable" if totals.unusable_nights else "all usable"
    failed = f", {totals.failed_trainings:,} failed" if totals.failed_trainings else ""
    rows = [
        ("models", f"{totals.models:,}"),
        ("promotions, rollbacks", f"{totals.promotions:,}, {totals.rollbacks:,}"),
        ("refusals", f"{totals.refusals:,}"),
        ("trainings", f"{totals.trainings:,}{failed}"),
        ("worker time for training and judging", _duration(totals.training_seconds)),
        ("alerts", f"{totals.alerts:,}"),
        ("nights", f"{totals.nights:,}, {usable}"),
        ("outcomes", f"{realised.outcomes:,}, {realised.bad:,} bad"),
        ("bad rate: predicted, realised", f"{_rate(realised.predicted_bad_rate)}, {_rate(realised.bad_rate)}"),
        ("ROC AUC: expected, realised", f"{_figure(realised.expected_roc_auc)}, {_figure(realised.roc_auc)}"),
        ("Brier score", _figure(realised.brier)),
    ]
    return Section("totals", "In all", ("what", "how many"), rows)


def _models(models: Sequence[ModelStory]) -> Section:
    columns = (
        "model", "made", "state", "trained", "outcomes learned from", "champion from", "until", "nights", "first",
        "last", "verdicts",
    )  # fmt: skip
    figures = frozenset({"outcomes learned from", "nights"})
    return Section("models", "Models, oldest first", columns, [_model_row(one) for one in models], figures)


def _model_row(one: ModelStory) -> tuple[str, ...]:
    ending = "" if one.ended_by is None else f" ({_ENDINGS.get(one.ended_by, one.ended_by)})"
    learned = one.model.learned_records
    verdicts = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in one.verdicts.items())
    return (
        one.model.version,
        one.made.replace("_", " "),
        one.model.state.value,
        _day(one.model.created_at),
        _NONE if learned is None else f"{learned:,}",
        _day(one.promoted_at),
        _day(one.retired_at) + ending,
        f"{one.nights:,}",
        *(one.first_night or _NONE, one.last_night or _NONE),
        verdicts or _NONE,
    )


def _realised(models: Sequence[ModelStory]) -> Section:
    columns = (
        "model", "outcomes", "predicted bad rate", "bad rate", "expected ROC AUC", "ROC AUC", "Brier score",
    )  # fmt: skip
    note = (
        "Predicted: the mean score of the records with an outcome. Expected ROC AUC: the monitor's estimate for all "
        "records. Nights with a broken pipeline are left out. ROC AUC and Brier score are means of the nights."
    )
    rows = [
        (
            one.model.version,
            f"{one.realised.outcomes:,}",
            *(_rate(one.realised.predicted_bad_rate), _rate(one.realised.bad_rate)),
            *(_figure(one.realised.expected_roc_auc), _figure(one.realised.roc_auc), _figure(one.realised.brier)),
        )
        for one in models
        if one.nights
    ]
    title = "What was expected of each model, and what happened"
    return Section("realised", title, columns, rows, frozenset(columns[1:]), note)


def _retrainings(retrainings: Sequence[Retraining]) -> Section:
    columns = (
        "when", "after night", "model", "made", "compared with", "result", "measured by the gate", "afterwards",
        "worker time",
    )  # fmt: skip
    note = (
        "Differences are the new model minus the old one. A higher ROC AUC and a lower Brier score are better. The "
        "gate measures on outcomes later than the training data; the intervals have the portfolio's confidence. "
        "Afterwards: on the same later records if the champion was watched, otherwise on each model's own nights."
    )
    seen: set[int] = set()  # a job that made two models is counted once
    rows = [
        (
            _day(one.decision.at),
            one.after_night or _NONE,
            one.decision.version,
            one.made.replace("_", " "),
            one.decision.against or _NONE,
            one.outcome,
            _compared(one.measured),
            _afterwards(one),
            _duration(one.seconds) if _is_first(one.decision.job_id, seen) else "in the same job",
        )
        for one in retrainings
    ]
    return Section(
        "retrainings", "What each retraining brought and cost", columns, rows, frozenset({"worker time"}), note
    )


def _is_first(job_id: int | None, seen: set[int]) -> bool:
    is_first = job_id is None or job_id not in seen
    seen |= set() if job_id is None else {job_id}
    return is_first


def _refusals(report: LoopReport) -> Section:
    rows = [
        (_day(one.at), one.version, report.made(one.version).replace("_", " "), one.by, _one_line(one.reason))
        for one in report.refusals
    ]
    return Section("refusals", "What was refused, and why", ("when", "model", "made", "by", "why"), rows)


def _trainings(report: LoopReport) -> Section:
    """Every job, also one that failed and so made no model."""
    made: dict[int | None, list[str]] = {}
    for one in report.models:
        made.setdefault(one.model.job_id, []).append(one.model.version)
    rows = [
        (
            _day(one.created_at),
            str(one.job_id),
            one.task.value.replace("_", " "),
            one.requested_by,
            one.state.value,
            ", ".join(made.get(one.job_id, [])) or _NONE,
            _duration(one.seconds),
            _one_line(one.detail or str(one.result.get("reason") or "")),
        )
        for one in report.trainings
    ]
    columns = ("when", "job", "task", "asked by", "state", "made", "worker time", "why")
    return Section("trainings", "Jobs that trained, judged or watched", columns, rows, frozenset({"worker time"}))


def _events(report: LoopReport) -> Section:
    """Alerts, requests, holds and releases with the promotions by hand and the rollbacks, by time."""
    found = [(one.at, one.event.partition(".")[2], one.who, one.why) for one in report.events]
    found += [
        (one.at, one.action, one.by, f"{one.version}: {one.reason}")
        for one in report.decisions
        if one.action in ("promote", "rollback", "scrub")
    ]
    rows = [(_day(at), event, who, _one_line(why)) for at, event, who, why in sorted(found, key=lambda one: one[0])]
    return Section("events", "Alerts, holds, rollbacks, promotions by hand", ("when", "what", "who", "why"), rows)


def _nights(report: LoopReport, nights: Sequence[LoopNight]) -> Section:
    columns = (
        "night", "job", "model", "verdict", "records", "outcomes", "expected bad rate", "predicted bad rate",
        "bad rate", "ROC AUC", "Brier score", "remarks",
    )  # fmt: skip
    note = "Expected: for all records. Predicted: for the records with an outcome."
    if len(nights) < len(report.nights):
        note += f" {counted(len(nights), 'night')} of {len(report.nights):,} are listed."
    rows = [_night_row(one) for one in reversed(nights)]
    return Section("nights", "Nights, newest first", columns, rows, frozenset(columns[4:11]), note)


def _night_row(one: LoopNight) -> tuple[str, ...]:
    figures = one.figures
    remarks = [] if one.unusable_reason is None else [f"unusable: {one.unusable_reason}"]
    if one.trust_reason and not one.is_trusted:
        remarks.append(f"outcomes {one.trust}: {one.trust_reason}")
    return (
        *(one.date, str(one.job_id), one.model_version),
        _NONE if one.verdict is None else one.verdict.value.replace("_", " "),
        *(f"{one.scored:,}", f"{one.outcomes:,}"),
        *(_rate(one.expected.get("bad_rate")), _rate(figures.get("expected_bad_rate"))),
        _rate(one.bad / one.outcomes if one.outcomes else None),
        *(_figure(figures.get("roc_auc")), _figure(figures.get("brier")), _one_line("; ".join(remarks))),
    )


def _compared(figures: Iterable[Compared]) -> str:
    return "; ".join(_difference(one) for one in figures) or _NONE


def _difference(one: Compared) -> str:
    interval = "" if one.low is None or one.high is None else f" ({one.low:+.4f} to {one.high:+.4f})"
    return f"{one.figure} {one.difference:+.4f}{interval}"


def _afterwards(one: Retraining) -> str:
    if one.watched:
        return f"{_compared(one.watched)} on {counted(one.watched_outcomes or 0, 'outcome')}"
    return f"{_compared(one.own_nights)}, own nights" if one.own_nights else _NONE


def _one_line(text: str) -> str:
    return " ".join(text.split()) or _NONE


def _day(at: datetime | None) -> str:
    return _NONE if at is None else f"{at:%Y-%m-%d}"


def _rate(value: float | None) -> str:
    return _NONE if value is None else f"{value * 100:.2f}\u00a0%"


def _figure(value: float | None) -> str:
    return _NONE if value is None else f"{value:.4f}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return _NONE
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
