"""What the Drift page shows: the nights of a portfolio, and one of them in full."""

from dataclasses import dataclass, field
from typing import Any

from db.connections.engine import reading
from db.events.event_log import LATE, Event, list_portfolio_events
from db.ledger.job_lifecycle import get_job
from db.ledger.shard_histograms import read_job_counts
from db.portfolios.catalog import Portfolio
from db.registry.versions import get_model
from scheduler.api.context import Caller
from scheduler.api.problems import not_found
from scheduler.dashboard.charts.drawing import Chart
from scheduler.dashboard.charts.drift_charts import fields_chart, migration_chart, nights_chart, scores_chart
from scheduler.reports.night_report import ShownNight, read_nights

MOST_NIGHTS, MOST_LATE = 60, 5


@dataclass(frozen=True)
class DriftView:
    """`nights` are oldest first; `chosen` is the one in full, None if there is none; `charts` by name.

    `late` are the newest loads of events that came after a night that should have seen them.
    """

    portfolio: Portfolio
    nights: list[ShownNight]
    chosen: ShownNight | None
    charts: dict[str, Chart]
    late: list[Event] = field(default_factory=list[Event])

    @property
    def summary(self) -> list[tuple[str, Any, Any]]:
        """Name, value and comparison of each figure of the chosen night."""
        return [] if self.chosen is None else _summarise(self.chosen.report.figures)

    @property
    def reasons(self) -> list[str]:
        """Why the chosen night has its verdict."""
        return [] if self.chosen is None else list(self.chosen.report.figures.get("reasons") or [])


def view_drift(caller: Caller, name: str, job_id: int | None) -> DriftView:
    """Read the nights of a portfolio; the one of `job_id` in full, or the newest. Raises `Problem` (404)."""
    portfolio = caller.portfolio(name)
    nights = read_nights(caller.engine, name, limit=MOST_NIGHTS)
    chosen = nights[-1] if nights and job_id is None else None
    if job_id is not None:
        chosen = next((one for one in nights if one.report.job_id == job_id), None)
        if chosen is None:
            raise not_found("monitored night of job", job_id)
    charts = [] if chosen is None else _draw_night(caller, chosen)
    if nights:
        charts.insert(min(1, len(charts)), nights_chart(nights, portfolio.definition.monitoring))
    late = list_portfolio_events(caller.engine, name, limit=MOST_LATE, only=LATE)
    return DriftView(portfolio, nights, chosen, {one.name: one for one in charts}, late)


def _draw_night(caller: Caller, chosen: ShownNight) -> list[Chart]:
    figures, policy = chosen.report.figures, get_job(caller.engine, chosen.report.job_id).definition.monitoring
    reference, night, night_label = _read_points(caller, chosen)
    charts = [scores_chart(reference, night, night_label)] if reference or night else []
    if figures.get("fields"):
        charts.append(fields_chart(figures["fields"], policy))
    if figures.get("migration"):
        charts.append(migration_chart(figures["migration"]))
    return charts


def _read_points(caller: Caller, chosen: ShownNight) -> tuple[dict[str, int], dict[str, int], str]:
    """Return the points of the reference and of the night, and what the reference is."""
    report = chosen.report
    first = (report.figures.get("reference") or {}).get("job")
    wanted = [report.job_id] if first is None else [report.job_id, int(first)]
    with reading(caller.engine) as connection:
        counts = read_job_counts(connection, wanted)
    night = counts[report.job_id].get("points") or {}
    if first is not None:
        return counts[int(first)].get("points") or {}, night, f"the night of job {first}"
    model = get_model(caller.engine, report.model_version)
    return model.reference.get("points") or {}, night, "held-out records of training"


def _summarise(figures: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    expected, alarm = figures.get("expected") or {}, figures.get("alarm") or {}
    psi, shift = alarm.get("psi") or {}, alarm.get("shift") or {}
    low, high = figures.get("psi_interval") or (None, None)
    rows = [
        ("PSI, corrected", figures.get("psi_corrected"), None if low is None else f"{low:.3f} to {high:.3f}"),
        ("KS distance", figures.get("ks"), None),
        ("Wasserstein distance, points", figures.get("wasserstein"), None),
        ("Shift of the mean, standard deviations", figures.get("shift"), None),
        ("Expected bad rate; in the reference", expected.get("bad_rate"), expected.get("reference_bad_rate")),
        ("Expected ROC AUC; in the reference", expected.get("auc"), expected.get("reference_auc")),
        ("Records; in the reference", figures.get("n_current"), figures.get("n_reference")),
        ("Sum of PSI; its limit", psi.get("sum"), psi.get("limit")),
        ("Sum of shifts; its limit", max(shift.get("up", 0.0), shift.get("down", 0.0)), shift.get("limit")),
    ]
    return [row for row in rows if row[1] is not None and (row[0][:3] != "Sum" or row[2] is not None)]
