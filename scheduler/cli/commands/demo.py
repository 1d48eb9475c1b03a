"""`tidemark demo`: runs the demo and prints its results."""

from typing import TYPE_CHECKING, Annotated

import typer

from db.events.wording import counted
from scheduler.cli.options import Json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from db.ledger.job_lifecycle import Job
    from scheduler.cli.output import Output
    from scheduler.demo.nights import Night
    from scheduler.demo.story import DemoResult

CUSTOMERS, BOOKED_CUSTOMERS = 50_000, 20_000
_BAR = 40


def demo(
    customers: Annotated[
        int | None,
        typer.Option(
            "--customers",
            min=1000,
            max=5_000_000,
            help="Number of customers to simulate (50,000; with --events 20,000).",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the simulator.")] = 7,
    nights: Annotated[int, typer.Option("--nights", min=0, max=30, help="Number of nights to play afterwards.")] = 30,
    quick: Annotated[bool, typer.Option("--quick", help="The same as --nights 0.")] = False,
    events: Annotated[
        bool, typer.Option("--events", help="Customers with bookings, whose order and times matter; no nights.")
    ] = False,
    json: Json = False,
) -> int:
    """Simulate a book of customers, train a model, score the book with queue workers, then play 30 nights."""
    from scheduler.cli.progress import job_progress
    from scheduler.cli.session import open_session
    from scheduler.demo.booked_story import play_booked_demo
    from scheduler.demo.story import Stage, play_demo

    with open_session(wants_json=json) as session:
        with job_progress(session.output.say) as on_look:
            stage = Stage(session.engine, session.settings, session.output.say, on_look)
            if events:
                result = play_booked_demo(stage, customers=customers or BOOKED_CUSTOMERS, seed=seed)
            else:
                result = play_demo(stage, customers=customers or CUSTOMERS, seed=seed, nights=0 if quick else nights)
        _show(session.output, result, session.database_address)
    return 0


def _show(output: "Output", result: "DemoResult", address: str) -> None:
    from scheduler.demo.story import describe, points_histogram, sample_customers

    figures = describe(result)
    output.emit(figures | {"database": address})
    shown = [(name, value) for name, value in figures.items() if name not in ("nights", "promotions", "plots")]
    output.show_table(("name", "value"), shown, title="The demo in figures")
    output.show("\nScores in points (higher is safer)")
    most = max(count for _, count in points_histogram(result.frame))
    for label, count in points_histogram(result.frame):
        output.show(f"  {label}  {'#' * round(_BAR * count / most):<{_BAR}} {count:,}")
    fact = "days_past_due_12" if "days_past_due_12" in result.frame else "employment"
    columns = ["record_key", "age", "income", fact, "probability", "points", "band"]
    rows = sample_customers(result.frame)[columns].itertuples(index=False)
    output.show_table(columns, rows, title="\nTen customers, from the highest risk to the lowest")
    _show_figures(output, result)
    if result.nights:
        _show_nights(output, result.nights, result.plots)
    output.show(f"Everything is in {address}; analysts can query the view latest_scores.")
    output.show(_next_commands(result.scoring))


def _show_figures(output: "Output", result: "DemoResult") -> None:
    said = f"ROC AUC {result.auc:.4f}; the best possible here is {result.best_auc:.4f}."
    if result.trees_auc is not None:
        said = f"{said[:-1]}, and trees on the usual aggregates of the same bookings have {result.trees_auc:.4f}."
    output.show(f"\nOn customers with outcomes that the model never saw: {said}")


def _show_nights(output: "Output", nights: "Sequence[Night]", plots: "Sequence[Path]") -> None:
    from scheduler.demo.story import describe_night, promotions

    rows = [describe_night(night) for night in nights]
    columns = ("night", "happens", "model_version", "verdict", "psi", "roc_auc")
    table = [[*(row[column] for column in columns), "; ".join(row["followed_by"])] for row in rows]
    output.show_table((*columns, "followed by"), table, title="\n" + counted(len(rows), "night"))
    for one in promotions(nights):
        output.show(
            f"Night {one['night']}: {one['version']} was promoted. On outcomes that neither model was trained on:"
        )
        for figure, change in (("ROC AUC", one["roc_auc"]), ("Brier score", one["brier"])):
            output.show(f"  {figure} {change['before']} before, {change['after']} after")
    for path in plots:
        output.show(f"Drawn: {path}")


def _next_commands(scoring: "Job") -> str:
    job_id, book = scoring.id, scoring.portfolio
    commands = (
        f"job show {job_id}",
        f"scores export {job_id} scores.csv",
        f"model list {book}",
        f"model decisions {book}",
        f"outcomes show {book}",
        f"score {book}",
        "portfolio infer YOUR_DATA.csv --name my_book --key YOUR_KEY --target YOUR_TARGET",
    )
    return "Try next:\n" + "\n".join(f"  python3 run.py tidemark {command}" for command in commands)
