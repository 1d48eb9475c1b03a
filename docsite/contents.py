"""The order of the pages on the site, by what a reader wants."""

from typing import NamedTuple


class Part(NamedTuple):
    """A part of the site: its name, what it is for, and its pages in order."""

    name: str
    purpose: str
    pages: tuple[str, ...]


PARTS = (
    Part("Tutorial", "From a CSV file to scores in SQL, step by step.", ("README", "docs/tutorial")),
    Part(
        "How-to guides",
        "One task each.",
        (
            "docs/how-to-write-a-portfolio",
            "docs/how-to-events",
            "docs/how-to-nightly-schedule",
            "docs/how-to-postgresql-and-redis",
            "docs/how-to-production",
            "docs/how-to-monitor",
            "docs/how-to-debug",
            "docs/how-to-add-a-layer",
            "docs/how-to-upgrade",
            "docs/how-to-back-up-and-restore",
            "docs/dashboard",
            "docs/python-client",
            "docs/privacy",
            "docs/sizing",
        ),
    ),
    Part(
        "Reference",
        "Commands, endpoints, files and settings, explained.",
        (
            "docs/commands",
            "docs/http-api",
            "docs/portfolio-file",
            "docs/events",
            "docs/settings",
            "docs/database",
            "docs/data-problems",
            "docs/glossary",
        ),
    ),
    Part(
        "Generated reference",
        "Generated from the code when the site is built, so it is complete.",
        ("reference/commands", "reference/endpoints", "reference/settings", "reference/tables", "reference/states"),
    ),
    Part(
        "Explanation",
        "How it works and why.",
        (
            "ARCHITECTURE",
            "docs/delivery-promises",
            "docs/model",
            "docs/drift",
            "docs/retraining",
            "docs/reasons",
            "docs/quality",
            "docs/performance",
            "docs/testing",
            "docs/decisions/index",
        ),
    ),
    Part("Project", "Working on Tidemark.", ("CONTRIBUTING", "CHANGELOG")),
)


def index_page() -> str:
    """The first page: each part with its pages, in Markdown."""
    lines = ["# Tidemark", "", "Scores whole books of customers with a Transformer every night.", ""]
    for part in PARTS:
        lines += [f"## {part.name}", "", part.purpose, "", "```{toctree}", ":hidden:", f":caption: {part.name}", ""]
        lines += [*part.pages, "```", "", *[f"- [](/{page}.md)" for page in part.pages], ""]
    return "\n".join(lines)
