"""Writes a decision as a page that a person can read: Markdown with every number that was looked at."""

from collections.abc import Iterator, Mapping
from typing import Any

from db.registry import Decision

_MARKS = {True: "passed", False: "FAILED", None: "told"}
_ACTIONS = {
    "gate": "The gate",
    "undecided": "The gate, without a decision",
    "promote": "Promotion by hand",
    "rollback": "Rollback",
    "hold": "Hold",
    "release": "Release",
}


def write_decision_page(decision: Decision) -> str:
    """Return the page of one decision."""
    return "\n".join(_lines(decision)) + "\n"


def _lines(decision: Decision) -> Iterator[str]:
    action = decision.action or "gate"
    yield f"# Decision {decision.id}: {_ACTIONS.get(action, action)}, portfolio {decision.portfolio}"
    yield ""
    yield f"**{_outcome(decision)}** {decision.reason}."
    yield ""
    facts = {
        "model version": decision.version,
        "compared with": decision.against_version,
        "made by": decision.figures.get("made"),
        "decided by": decision.decided_by,
        "job": decision.job_id or decision.figures.get("job"),
        "at": decision.created_at,
    }
    yield from _table(("", "value"), [(name, value) for name, value in facts.items() if value is not None])
    checks = decision.figures.get("checks", [])
    if checks:
        yield "## What was looked at"
        yield ""
        yield from _table(
            ("check", "", "finding"), [(one["name"], _MARKS[one["passed"]], one["said"]) for one in checks]
        )
        yield "Differences are the new model minus the old one, with their paired interval."
        yield ""
    yield "## All numbers"
    yield ""
    yield from _table(("figure", "value"), list(_flat(decision.figures)))


def _outcome(decision: Decision) -> str:
    if decision.action in ("hold", "release", "undecided"):
        return {"hold": "Held.", "release": "Released.", "undecided": "No decision yet."}[decision.action]
    return "Promoted." if decision.promoted else "Refused."


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every number with the names that lead to it; sentences stand in the table above already."""
    for name, inner in value.items():
        path = f"{prefix}{name}"
        if isinstance(inner, Mapping):
            yield from _flat(inner, f"{path}.")
        elif name == "checks":
            for check in inner:
                yield from _flat(check["figures"], f"{check['name']}.")
        elif isinstance(inner, list):
            yield path, ", ".join(_text(one) for one in inner)
        else:
            yield path, inner


def _table(columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> Iterator[str]:
    yield "| " + " | ".join(columns) + " |"
    yield "|" + "---|" * len(columns)
    for row in rows:
        yield "| " + " | ".join(_text(value).replace("|", "\\|") for value in row) + " |"
    yield ""


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
