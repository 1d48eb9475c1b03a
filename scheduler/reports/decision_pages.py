"""A decision for people: action, reason, evidence, every figure; also as a Markdown page."""

from collections.abc import Iterator, Mapping
from typing import Any

from db.registry.champions import Decision

MARKS = {True: "passed", False: "FAILED", None: "noted"}
_ACTIONS = {
    "gate": "The gate",
    "undecided": "Gate: no decision",
    "promote": "Promotion by hand",
    "rollback": "Rollback",
    "scrub": "Bundle scrubbed of records",
    "hold": "Hold",
    "release": "Release",
}


def write_decision_page(decision: Decision) -> str:
    """Return the page of one decision."""
    return "\n".join(_lines(decision)) + "\n"


def _lines(decision: Decision) -> Iterator[str]:
    yield f"# Decision {decision.id}: {name_action(decision)}, portfolio {decision.portfolio}"
    yield ""
    yield f"**{tell_outcome(decision)}** {decision.reason}."
    yield ""
    yield from _table(("name", "value"), list_facts(decision))
    checks = decision.figures.get("checks", [])
    if checks:
        yield "## Evidence"
        yield ""
        yield from _table(
            ("check", "", "finding"), [(one["name"], MARKS[one["passed"]], one["said"]) for one in checks]
        )
        yield "Differences are the new model minus the old one, with their paired interval."
        yield ""
    yield "## All numbers"
    yield ""
    yield from _table(("figure", "value"), list(flatten(decision.figures)))


def name_action(decision: Decision) -> str:
    """Return the name of the action, such as "The gate"."""
    action = decision.action or "gate"
    return _ACTIONS.get(action, action)


def list_facts(decision: Decision) -> list[tuple[str, Any]]:
    """Return the facts of a decision besides its figures, by name."""
    facts = {
        "model version": decision.version,
        "compared with": decision.against_version,
        "made by": decision.figures.get("made"),
        "decided by": decision.decided_by,
        "job": decision.job_id or decision.figures.get("job"),
        "at": decision.created_at,
    }
    return [(name, value) for name, value in facts.items() if value is not None]


def tell_outcome(decision: Decision) -> str:
    """Return the outcome of the decision, as a short sentence."""
    if decision.action in ("hold", "release", "undecided"):
        return {"hold": "Held.", "release": "Released.", "undecided": "No decision yet."}[decision.action]
    return "Promoted." if decision.promoted else "Refused."


def flatten(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every figure with its path of names; the sentences of checks are left out."""
    for name, inner in value.items():
        path = f"{prefix}{name}"
        if isinstance(inner, Mapping):
            yield from flatten(inner, f"{path}.")
        elif name == "checks":
            for check in inner:
                yield from flatten(check["figures"], f"{check['name']}.")
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
