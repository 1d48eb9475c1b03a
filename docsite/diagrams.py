"""Draws the diagrams of the pages, so that the site needs no script to show them.

    python -m docsite.diagrams [COMMAND OF MERMAID]

A page holds a diagram as Mermaid text, which code hosts draw. For the site it is drawn ahead, into a file named by the
text's hash: a text that was changed has no drawing, and `tests/architecture/test_site.py` says so. Needs `mmdc` of the
npm package `@mermaid-js/mermaid-cli` and a Chromium; readers of the site need neither.
"""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

DRAWN = Path("docs") / "diagrams"
_DIAGRAM = re.compile(r"```mermaid\n(.*?)```", re.DOTALL)
_LOOK = {"theme": "neutral", "htmlLabels": False, "flowchart": {"htmlLabels": False}, "fontFamily": "sans-serif"}
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def texts_of(page: str) -> Iterator[str]:
    """Give the text of each diagram of a page."""
    for found in _DIAGRAM.finditer(page):
        yield found[1]


def drawing_of(text: str) -> Path:
    """Return the place of a diagram's drawing, from the project's root."""
    return DRAWN / f"{hashlib.sha256(text.encode()).hexdigest()[:12]}.svg"


def show_drawings(page: str, *, to_root: str) -> str:
    """Put the drawings in the place of their texts; `to_root` leads from the page to the project's root."""

    def show(found: re.Match[str]) -> str:
        return f"![Diagram]({to_root}{drawing_of(found[1]).as_posix()})"

    return _DIAGRAM.sub(show, page)


def draw(text: str, path: Path, *, mermaid: str, browser: str) -> None:
    """Draw one diagram. Raises `CalledProcessError` if Mermaid refuses it."""
    with tempfile.TemporaryDirectory() as folder:
        source, look, browsing = (Path(folder) / name for name in ("diagram.mmd", "look.json", "browsing.json"))
        source.write_text(text, encoding="utf-8")
        look.write_text(json.dumps(_LOOK), encoding="utf-8")
        browsing.write_text(json.dumps({"executablePath": browser, "args": ["--no-sandbox"]}), encoding="utf-8")
        files = ["--input", str(source), "--output", str(path), "--configFile", str(look)]
        command = [mermaid, *files, "--puppeteerConfigFile", str(browsing), "--backgroundColor", "white", "--quiet"]
        subprocess.run(command, check=True)  # noqa: S603 - a command that the caller named


def main() -> int:
    """Draw what has no drawing, and remove drawings of texts that are gone."""
    root = Path(__file__).resolve().parents[1]
    mermaid = sys.argv[1] if len(sys.argv) > 1 else shutil.which("mmdc")
    browser = next((path for name in _BROWSERS if (path := shutil.which(name))), None)
    if mermaid is None or browser is None:
        sys.stderr.write("needed: npm install @mermaid-js/mermaid-cli (for mmdc), and a Chromium\n")
        return 1
    (root / DRAWN).mkdir(parents=True, exist_ok=True)
    pages = [*root.glob("*.md"), *root.glob("docs/**/*.md")]
    wanted = {root / drawing_of(text): text for page in pages for text in texts_of(page.read_text(encoding="utf-8"))}
    for path, text in wanted.items():
        if not path.exists():
            draw(text, path, mermaid=mermaid, browser=browser)
    for path in (root / DRAWN).glob("*.svg"):
        if path not in wanted:
            path.unlink()
    print(f"{len(wanted)} diagrams in {DRAWN}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
