"""Finds stored bundles that may contain personal records: those of older releases."""

import json
from dataclasses import dataclass

import fsspec

from db.connections.engine import Engine
from db.registry.replacement import list_versions

_MANIFEST, _HOLDS = "manifest.json", "people"
RECORDS, VALUES = "records", "values"


@dataclass(frozen=True)
class PeopledBundle:
    """A bundle that may hold whole records, or single values that few records share (its edges and names).

    `portfolio` is None if no registered version names the bundle.
    """

    version: str
    portfolio: str | None
    holds: str


def find_bundles_with_people(engine: Engine, models_url: str) -> list[PeopledBundle]:
    """Look at every bundle that is stored; those that hold nothing of people are left out.

    Raises `OSError` if the store cannot be read.
    """
    portfolios = list_versions(engine)
    store, root = fsspec.core.url_to_fs(models_url)
    if not store.exists(root):
        return []
    names = sorted(path.rstrip("/").rpartition("/")[2] for path in store.ls(root, detail=False))
    bundles = [name for name in names if name.startswith("m") and name.isalnum()]
    found = [PeopledBundle(name, portfolios.get(name), _read_holds(store, f"{root}/{name}")) for name in bundles]
    return [one for one in found if one.holds in (RECORDS, VALUES)]


def may_hold_records_of(engine: Engine, models_url: str, portfolio: str) -> list[str]:
    """Return the versions whose bundles may contain a portfolio's personal records, and which cannot be checked.

    An erasure is not proven for these: `tidemark model scrub --all` takes the records out. Raises `OSError`.
    """
    found = find_bundles_with_people(engine, models_url)
    return [one.version for one in found if one.holds == RECORDS and one.portfolio in (None, portfolio)]


def _read_holds(store: fsspec.AbstractFileSystem, place: str) -> str:
    """Return what a manifest says; without a usable manifest the bundle may contain records."""
    try:
        return str(json.loads(store.cat_file(f"{place}/{_MANIFEST}")).get(_HOLDS, RECORDS))
    except (FileNotFoundError, ValueError):
        return RECORDS
