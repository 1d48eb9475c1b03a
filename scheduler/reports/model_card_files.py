"""Reads files from a model's bundle: checked by SHA-256, without the network's libraries."""

import hashlib
import json
from pathlib import Path

import fsspec

from scheduler.errors import UsageError

_MANIFEST = "manifest.json"
_CARD = ("card.json", "card.md")


def copy_card(models_url: str, version: str, folder: Path) -> list[Path]:
    """Write the model card's files into `folder` and return their paths, the Markdown first.

    Raises `UsageError` for a bundle that is missing, damaged, or older than model cards.
    """
    names = list_card_files(models_url, version)
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for name in names:
        path = folder / Path(name).name
        path.write_bytes(read_card_file(models_url, version, name))
        written.append(path)
    return sorted(written, key=lambda path: (path.suffix != ".md", path.name))


def list_card_files(models_url: str, version: str) -> list[str]:
    """Return the names of the model card's files.

    Raises `UsageError` for a bundle that is missing, or older than model cards.
    """
    names = sorted(name for name in _read_checksums(models_url, version) if name in _CARD or name.endswith(".png"))
    if not set(_CARD) <= set(names):
        raise UsageError(f"model {version} has no model card; models made by tidemark train have one")
    return names


def read_card_file(models_url: str, version: str, name: str) -> bytes:
    """Return one of the model card's files, verified. Raises `UsageError` if it is missing or damaged."""
    checksum = _read_checksums(models_url, version).get(name)
    if checksum is None:
        raise UsageError(f"the bundle of model {version} has no {name}")
    store, root = fsspec.core.url_to_fs(models_url)
    content = _read(store, f"{root}/{version}/{name}", version)
    if hashlib.sha256(content).hexdigest() != checksum:
        raise UsageError(f"{name} of model {version} is damaged; restore the bundle from a backup")
    return content


def _read_checksums(models_url: str, version: str) -> dict[str, str]:
    store, root = fsspec.core.url_to_fs(models_url)
    return json.loads(_read(store, f"{root}/{version}/{_MANIFEST}", version))["files"]


def _read(store: fsspec.AbstractFileSystem, path: str, version: str) -> bytes:
    try:
        content = store.cat_file(path)
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist; the bundle of model {version} is missing or damaged") from error
    return content.encode() if isinstance(content, str) else content
