"""The documentation's site is whole: it builds without a warning, loads nothing from elsewhere, leaves nothing out."""

import re
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from db.schema.all_tables import metadata
from docsite.building import SiteError, build_site
from docsite.contents import PARTS
from docsite.diagrams import DRAWN, drawing_of, texts_of
from docsite.reference import SETTINGS, describe_api, list_commands, list_states

ROOT = Path(__file__).parents[2]
_LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
_NOT_FETCHED = {"canonical", "next", "prev", "index", "search", "genindex"}


@dataclass
class Page(HTMLParser):
    """What a page of the site leads to, what it loads, and where it can be led to."""

    path: Path
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors.add(given.get("id", ""))
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag in _LOADED and given.get("rel") not in _NOT_FETCHED:
            self.loaded.append(given.get(_LOADED[tag], ""))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `run.py docs` does, where no network is needed."""
    out = tmp_path_factory.mktemp("a site") / "site"
    done = subprocess.run(
        [sys.executable, "-m", "docsite", "--out", str(out)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in site.rglob("*.html")}


def test_every_page_of_the_documentation_stands_in_the_contents() -> None:
    shown = {f"{page}.md" for part in PARTS for page in part.pages}
    own = {str(path.relative_to(ROOT)) for path in ROOT.glob("docs/*.md")}
    assert own - shown == {"docs/README.md"}, "the site's contents take the place of docs/README.md"


def test_every_link_and_anchor_of_the_site_leads_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    broken: list[str] = []
    for page in pages.values():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path
            known = target in pages and (not parts.fragment or unquote(parts.fragment) in pages[target].anchors)
            if not known and not (target.is_file() and target not in pages):
                broken.append(f"{page.path.relative_to(site)}: {link}")
    assert broken == []


def test_no_page_loads_anything_from_another_host(site: Path, pages: dict[Path, Page]) -> None:
    loaded = [(page.path.name, address) for page in pages.values() for address in page.loaded]
    for style in site.rglob("*.css"):
        found = re.findall(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)", style.read_text(encoding="utf-8"))
        loaded += [(style.name, first or second) for first, second in found]
    assert len(loaded) > 100
    assert [one for one in loaded if re.match(r"(https?:)?//", one[1])] == []


def test_every_diagram_is_shown_as_it_was_drawn_from_its_text(pages: dict[Path, Page]) -> None:
    """A diagram that was changed is drawn anew with `python -m docsite.diagrams`."""
    texts = {text for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")] for text in texts_of(page.read_text())}
    drawings = {drawing_of(text).name for text in texts}
    assert len(drawings) >= 3
    assert {path.name for path in (ROOT / DRAWN).iterdir()} == drawings
    shown = {Path(address).name for page in pages.values() for address in page.loaded}
    assert drawings <= shown
    assert [page.path.name for page in pages.values() if "flowchart LR" in page.path.read_text(encoding="utf-8")] == []


def test_the_search_needs_no_server(site: Path) -> None:
    assert "Search.setIndex(" in (site / "searchindex.js").read_text(encoding="utf-8")[:200]


def test_every_command_and_option_is_in_the_reference(site: Path) -> None:
    page = (site / "reference/commands.html").read_text(encoding="utf-8")
    for name, command in list_commands().items():
        assert f">tidemark {name}<" in page, name
        assert [option for one in command.params for option in one.opts if option not in page] == []


def test_every_endpoint_is_in_the_reference(site: Path) -> None:
    page = (site / "reference/endpoints.html").read_text(encoding="utf-8")
    wanted = [f"{method.upper()} {path}" for path, methods in describe_api()["paths"].items() for method in methods]
    assert len(wanted) > 40
    assert [one for one in wanted if f">{one}<" not in page] == []


def test_every_setting_table_and_state_is_in_the_reference(site: Path) -> None:
    def missing(page: str, words: list[str]) -> list[str]:
        text = (site / "reference" / page).read_text(encoding="utf-8")
        return [word for word in words if f">{word}<" not in text]

    settings = [f"TIDEMARK_{name.upper()}" for kind in SETTINGS for name in kind.model_fields]
    assert missing("settings.html", settings) == []
    assert missing("tables.html", list(metadata.tables)) == []
    assert missing("states.html", [state.value for kind in list_states().values() for state in kind]) == []


def test_a_folder_that_holds_other_files_is_left_as_it_is(tmp_path: Path) -> None:
    kept = tmp_path / "thesis.txt"
    kept.write_text("years of work")
    with pytest.raises(SiteError, match="other files"):
        build_site(ROOT, tmp_path)
    assert kept.read_text() == "years of work"
