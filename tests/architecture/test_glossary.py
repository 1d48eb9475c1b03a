"""The glossary: one list for the page and the dashboard, of words that the product uses, linked from the pages."""

import re
from pathlib import Path

import pytest

from scheduler.dashboard.glossary import GLOSSARY

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "glossary.md"
LINKING = (
    "README.md", "CONTRIBUTING.md",
    *(f"docs/{name}.md" for name in (
        "README", "commands", "dashboard", "data-problems", "database", "delivery-promises", "drift", "http-api",
        "how-to-nightly-schedule", "model", "portfolio-file", "reasons", "retraining", "tutorial",
    )),
)  # fmt: skip


@pytest.fixture(scope="module")
def product() -> str:
    """Everything that a user or a developer reads, apart from the glossary itself."""
    pages = [*ROOT.glob("*.md"), *(page for page in ROOT.glob("docs/**/*.md") if page != PAGE)]
    code = [path for package in ("db", "scheduler", "transformer", "worker") for path in (ROOT / package).rglob("*.py")]
    read = [path for path in (*pages, *code) if path.name != "glossary.py"]
    return "\n".join(path.read_text(encoding="utf-8") for path in read).lower()


def test_the_page_and_the_dashboard_show_the_same_words() -> None:
    rows = re.findall(r"^\| \*\*(.+)\*\* \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert dict(rows) == GLOSSARY


def test_the_words_are_in_alphabetical_order() -> None:
    assert list(GLOSSARY) == sorted(GLOSSARY, key=str.lower)


def test_the_product_uses_every_word(product: str) -> None:
    def is_used(word: str) -> bool:
        phrase = r"[\s_-]+".join(re.split(r"[ -]", word.lower()))
        return re.search(rf"(?<![a-z]){phrase}(s|es)?(?![a-z])", product) is not None

    assert [word for word in GLOSSARY if not is_used(word)] == []


@pytest.mark.parametrize("name", LINKING)
def test_pages_link_to_the_glossary(name: str) -> None:
    assert re.search(r"\]\((?:docs/)?glossary\.md\)", (ROOT / name).read_text(encoding="utf-8"))


def test_every_page_of_the_dashboard_links_to_the_glossary() -> None:
    base = ROOT / "scheduler" / "dashboard" / "templates" / "base.html"
    assert 'href="/glossary"' in base.read_text(encoding="utf-8")
