"""Runs Python as if some extras of Tidemark were installed and nothing else: other packages cannot be found."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
_HOOK = """
import json, sys
refused = set(json.loads(sys.argv.pop(1)))

class WithoutOthers:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in refused else self.finder.find_spec(name, path, target)
    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = [WithoutOthers(one) for one in sys.meta_path]
"""


def run_with_extras(extras: Iterable[str], code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run this code in a process that finds the base dependencies and those of the extras alone."""
    command = [sys.executable, "-c", f"{_HOOK}\n{code}", json.dumps(sorted(_modules_without(extras))), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


def _modules_without(extras: Iterable[str]) -> set[str]:
    installed = _distributions_of(extras)
    found = packages_distributions().items()
    return {module for module, owners in found if not {_plain(one) for one in owners} & installed}


def _distributions_of(extras: Iterable[str]) -> set[str]:
    """Every distribution that pip would install for the project with these extras, on this machine."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    waiting = [Requirement(one) for one in project["dependencies"]]
    waiting.append(Requirement(f"tidemark[{','.join(extras)}]"))
    seen: set[tuple[str, str]] = set()
    while waiting:
        wanted = waiting.pop()
        for extra in {"", *wanted.extras} - {extra for name, extra in seen if name == wanted.name}:
            seen.add((wanted.name, extra))
            if wanted.name == "tidemark":
                waiting += [Requirement(one) for one in project["optional-dependencies"].get(extra, [])]
            else:
                waiting += _needed_by(wanted.name, extra)
    return {_plain(name) for name, _ in seen}


def _needed_by(name: str, extra: str) -> list[Requirement]:
    try:
        told = [Requirement(one) for one in requires(name) or []]
    except PackageNotFoundError:  # of another system
        return []
    return [one for one in told if one.marker is None or one.marker.evaluate({"extra": extra})]


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
