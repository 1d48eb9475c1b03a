"""Where bundles are kept: a folder of this machine, or any object store that fsspec knows."""

import os
import shutil
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

import fsspec

from transformer.errors import BundleError


def publish_bundle(folder: Path, models_url: str, version: str, *, last: str) -> None:
    """Copy a finished bundle to its place; the file `last` comes last. One that is there already stays."""
    local = _local_folder(models_url)
    if local is not None:
        _publish_locally(folder, local / version)
        return
    store, root = fsspec.core.url_to_fs(models_url)
    names = sorted((path.name for path in folder.iterdir()), key=lambda name: (name == last, name))
    for name in names:
        store.put_file(str(folder / name), f"{root}/{version}/{name}")


def fetch_bundle(models_url: str, version: str, names: tuple[str, ...]) -> dict[str, bytes]:
    """Return the content of a bundle's files. Raises `BundleError` for a version or a file that is not there."""
    if not version.isalnum():
        raise BundleError(version[:40], "this is not the name of a model version")
    local = _local_folder(models_url)
    if local is not None:
        return {name: _read_file(local / version / name, version) for name in names}
    store, root = fsspec.core.url_to_fs(models_url)
    contents: dict[str, bytes] = {}
    for name in names:
        try:
            contents[name] = store.cat_file(f"{root}/{version}/{name}")
        except FileNotFoundError as error:
            raise BundleError(version, f"{name} is not there") from error
    return contents


def remove_bundle(models_url: str, version: str, *, first: str) -> None:
    """Remove a bundle's files; `first` goes first, so that nobody begins to read what is going. Again is harmless."""
    store, root = fsspec.core.url_to_fs(models_url)
    place = f"{root}/{version}"
    if not version.isalnum() or not store.exists(place):
        return
    names = [path.rpartition("/")[2] for path in store.ls(place, detail=False)]
    for name in sorted(names, key=lambda name: (name != first, name)):
        store.rm_file(f"{place}/{name}")
    if store.exists(place):  # folders are no files in an object store
        store.rmdir(place)


def _publish_locally(folder: Path, place: Path) -> None:
    if place.exists():
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    try:
        for path in folder.iterdir():
            _copy_flushed(path, aside / path.name)
        aside.chmod(0o755)
        _flush_folder(aside)
        aside.rename(place)
        _flush_folder(place.parent)
    except OSError:
        if not place.exists():  # else another process saved the same content in this moment
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _copy_flushed(source: Path, target: Path) -> None:
    with source.open("rb") as read, target.open("wb") as written:
        shutil.copyfileobj(read, written)
        written.flush()
        os.fsync(written.fileno())


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read_file(path: Path, version: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise BundleError(version, f"{path.name} is not at {path.parent}") from error


def _local_folder(models_url: str) -> Path | None:
    parts = urlsplit(models_url)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return Path(models_url).expanduser() if "://" not in models_url else None
