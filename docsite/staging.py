"""Lays the pages out for Sphinx as they lie in the repository, so that their links need no change."""

import re
import shutil
from pathlib import Path

from docsite.contents import PARTS, index_page
from docsite.diagrams import DRAWN, show_drawings
from docsite.reference import REFERENCE

PICTURES = Path("build") / "pictures"  # where `python -m tests.browser.screenshots build/pictures` puts them
_SHOWN = {"tonight": "Tonight", "job": "A job with its shards", "drift": "Drift", "model": "A model"}
_LINK = re.compile(r"\]\((?!\w+:)([^)#\s]+)(#[^)\s]*)?\)")


def stage_pages(root: Path, source: Path) -> None:
    """Write every page, generated ones too, and whatever file they link to, into `source`."""
    (source / "reference").mkdir(parents=True)
    (source / "index.md").write_text(index_page(), encoding="utf-8")
    for name, make_page in REFERENCE.items():
        (source / "reference" / f"{name}.md").write_text(make_page(), encoding="utf-8")
    shutil.copytree(root / DRAWN, source / DRAWN)
    shown = {page for part in PARTS for page in part.pages}
    for page in sorted([*root.glob("*.md"), *root.glob("docs/**/*.md")]):
        place = page.relative_to(root)
        text = _stage_links(page, page.read_text(encoding="utf-8"), root, source)
        text = show_drawings(text, to_root="../" * (len(place.parts) - 1))
        if place == Path("docs/dashboard.md"):
            text += _stage_pictures(root, source)
        if str(place.with_suffix("")) not in shown:
            text = f"---\norphan: true\n---\n\n{text}"
        (source / place).parent.mkdir(parents=True, exist_ok=True)
        (source / place).write_text(text, encoding="utf-8")


def _stage_links(page: Path, text: str, root: Path, source: Path) -> str:
    """Copy linked files that are no pages; a linked folder becomes a page that lists its files."""

    def stage(found: re.Match[str]) -> str:
        target = (page.parent / found[1]).resolve()
        if not target.is_relative_to(root) or not target.exists() or target.suffix == ".md":
            return found[0]
        copied = source / target.relative_to(root)
        if target.is_dir():
            _stage_folder(target, copied, root)
            return f"]({found[1].rstrip('/')}/index.md)"
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(target, copied)
        return found[0]

    return _LINK.sub(stage, text)


def _stage_folder(folder: Path, copied: Path, root: Path) -> None:
    copied.mkdir(parents=True, exist_ok=True)
    files = sorted(path for path in folder.iterdir() if path.is_file())
    for path in files:
        shutil.copyfile(path, copied / path.name)
    pages = [path for path in files if path.suffix == ".md"]
    title = "Decisions" if pages else f"Files of {folder.relative_to(root)}"
    listed = [f"- [{path.name}]({path.name})" for path in files if path not in pages]
    tree = ["```{toctree}", ":maxdepth: 1", "", *[path.stem for path in pages], "```"] if pages else []
    head = [] if pages else ["---", "orphan: true", "---", ""]
    (copied / "index.md").write_text("\n".join([*head, f"# {title}", "", *listed, *tree, ""]), encoding="utf-8")


def _stage_pictures(root: Path, source: Path) -> str:
    """Copy the dashboard's pictures where a script has made them; return the section that shows them."""
    lines: list[str] = []
    for name, title in _SHOWN.items():
        picture = root / PICTURES / f"{name}-wide-light.png"
        if picture.exists():
            (source / "docs").mkdir(exist_ok=True)
            shutil.copyfile(picture, source / "docs" / picture.name)
            lines += [f"### {title}", "", f"![{title}]({picture.name})", ""]
    return "\n".join(["", "## What it looks like", "", *lines]) if lines else ""
