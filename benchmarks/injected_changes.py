"""Change of business or broken pipeline? Injects 40 faults and 40 honest changes into a night of each book.

    python -m benchmarks.injected_changes [--data ../shared/data] [--name injected_changes] [--generated]

Every change is made in tonight's records of three books (loans, patients, machines), which are counted and judged by
the product's own code with the defaults of a portfolio. Only the network is replaced, by a linear model, since the
monitor reads its scores alone.

A fault is right when the night's scores are held back (verdict `broken_pipeline`, or a job that fails by its reject
budget), or when a suspicion names a column that the fault touched (of faults in rows or keys: names these). An honest
change is right when the scores are not held back; a suspicion is allowed and counted. The wrong ones are named.
"""

import argparse
from pathlib import Path
from typing import Any

from benchmarks.night_changes.books import Book, make_generated, read_books
from benchmarks.night_changes.changes import Change
from benchmarks.night_changes.faults import FAULTS
from benchmarks.night_changes.honest_changes import HONEST
from benchmarks.night_changes.nights import Monitor
from benchmarks.report import write_report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--name", default="injected_changes", help="name of the result")
    parser.add_argument("--generated", action="store_true", help="use the generated book alone, and write no result")
    options = parser.parse_args()
    books = [make_generated()] if options.generated else read_books(options.data)
    results = [measure(book) for book in books]
    for result in results:
        print(tell(result))
    if not options.generated:
        print(write_report(options.name, results))


def measure(book: Book) -> dict[str, Any]:
    """Return what became of every change in one book."""
    monitor = Monitor(book)
    quiet = monitor.judge(monitor.quiet_night())
    faults = [_judge(monitor, book, one, is_fault=True) for one in FAULTS]
    honest = [_judge(monitor, book, one, is_fault=False) for one in HONEST]
    return {
        "book": book.name,
        "records": len(book.tonight),
        "quiet": {"verdict": quiet.verdict, "reasons": quiet.reasons},
        "faults": len(faults),
        "faults_right": sum(one["is_right"] for one in faults),
        "faults_held_back": sum(one["is_held_back"] for one in faults),
        "honest": len(honest),
        "honest_right": sum(one["is_right"] for one in honest),
        "honest_suspected": sum(bool(one["suspicions"]) for one in honest),
        "wrong": [one["change"] for one in [*faults, *honest] if not one["is_right"]],
        "changes": [*faults, *honest],
    }


def tell(result: dict[str, Any]) -> str:
    """Return a book's figures as lines for a person."""
    faults = f"{result['faults_right']} of {result['faults']} faults right ({result['faults_held_back']} held back)"
    honest = (
        f"{result['honest_right']} of {result['honest']} honest changes right ({result['honest_suspected']} suspected)"
    )
    head = f"{result['book']}: {faults}, {honest}; quiet night: {result['quiet']['verdict']}"
    return "\n".join([head, *(f"  wrong: {name}" for name in result["wrong"])])


def _judge(monitor: Monitor, book: Book, change: Change, *, is_fault: bool) -> dict[str, Any]:
    changed = change.make(monitor.quiet_night(), book)
    found = monitor.judge(changed.night)
    is_named = any(name in text for text in found.suspicions for name in changed.touched)
    return {
        "change": change.name,
        "kind": "fault" if is_fault else "honest",
        "is_right": (found.is_unusable or is_named) if is_fault else not found.is_unusable,
        "is_held_back": found.is_unusable,
        "verdict": found.verdict,
        "suspicions": found.suspicions,
        "reasons": found.reasons,
    }


if __name__ == "__main__":
    main()
