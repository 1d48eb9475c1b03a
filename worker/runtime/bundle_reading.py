"""Reads stored bundles by version; a scrubbed one is stored under its replacement."""

from collections.abc import Callable
from typing import TypeVar

from db.connections.engine import Engine
from db.registry.replacement import find_replacement
from transformer.bundles.bundle import LoadedModel, load_bundle
from transformer.errors import BundleError

Read = TypeVar("Read")


def read_stored(engine: Engine, models_url: str, version: str, read: Callable[[str, str], Read]) -> Read:
    """Return what `read` makes of the bundle's place and version. Raises `BundleError`.

    The database is queried only if the bundle cannot be read, for example while its old files are removed.
    """
    try:
        return read(models_url, version)
    except BundleError:
        found = find_replacement(engine, version)
        if found is None:
            raise
        return read(models_url, found)


def load_stored(engine: Engine, models_url: str, version: str) -> LoadedModel:
    """Load a model. Raises `BundleError`."""
    return read_stored(engine, models_url, version, load_bundle)
