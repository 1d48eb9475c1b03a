"""No folder grows flat again: a room is what can be explained in one line."""

import ast
from collections import Counter
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("db", "scheduler", "transformer", "worker")
MOST_MODULES, MOST_AT_THE_ROOT = 15, 5


def modules() -> list[Path]:
    found = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    return [path.relative_to(ROOT) for path in found if path.name != "__init__.py"]


def test_no_folder_holds_more_than_fifteen_modules() -> None:
    counts = Counter(path.parent for path in modules())
    assert {str(folder): count for folder, count in counts.items() if count > MOST_MODULES} == {}
    assert {name: counts[Path(name)] for name in PACKAGES if counts[Path(name)] > MOST_AT_THE_ROOT} == {}


def test_every_room_is_explained_in_one_line() -> None:
    for folder in {path.parent for path in modules()}:
        text = ast.get_docstring(ast.parse((ROOT / folder / "__init__.py").read_text(encoding="utf-8"))) or ""
        assert text, folder
        assert len(text.splitlines()) == 1 or folder == Path("worker/drift"), folder


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = grimp.build_graph(*PACKAGES, include_external_packages=False)
    left = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    while done := {module for module, imported in left.items() if not imported & left.keys()}:
        left = {module: imported for module, imported in left.items() if module not in done}
    assert sorted(left) == []
