"""A bundle's list of files: read and checked without the network's libraries."""

import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum

from transformer.bundles.store import fetch_bundle
from transformer.errors import BundleError

MANIFEST = "manifest.json"
FORMAT = 2
PEOPLE = "people"  # what a bundle holds of people; older releases wrote none of it, and held records
READABLE_FORMATS = (1, 2)  # the first one knew neither reasons nor a card
_VERSION_DIGITS = 16


def load_card(models_url: str, version: str) -> dict[str, bytes]:
    """Return the files of the model card by name; none where the bundle holds none. Raises `BundleError`."""
    files = {name: checksum for name, checksum in read_manifest(models_url, version).items() if is_card_file(name)}
    return fetch_checked(models_url, version, files)


class People(StrEnum):
    """What a bundle holds of people: nothing, single values that few share (edges, names), or whole records."""

    NONE = "none"
    VALUES = "values"
    RECORDS = "records"


def read_people(models_url: str, version: str) -> People:
    """Return what a bundle says that it holds of people. Raises `BundleError`."""
    manifest = json.loads(fetch_bundle(models_url, version, (MANIFEST,))[MANIFEST])
    return People(manifest.get(PEOPLE, People.RECORDS))


def is_card_file(name: str) -> bool:
    """Whether a file of a bundle belongs to the model card."""
    return name in {"card.md", "card.json"} or name.endswith(".png")


def read_manifest(models_url: str, version: str) -> dict[str, str]:
    """Return the SHA-256 of each of a bundle's files, checked against its version. Raises `BundleError`."""
    content = fetch_bundle(models_url, version, (MANIFEST,))[MANIFEST]
    try:
        manifest = json.loads(content)
        files: dict[str, str] = manifest["files"]
        named, layout = manifest["version"], manifest["format"]
        names = [str(name) for name in files]
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(version, f"{MANIFEST} cannot be read") from error
    if named != version or layout not in READABLE_FORMATS:
        raise BundleError(version, f"{MANIFEST} is of version {named}, format {layout}; expected format 1 or {FORMAT}")
    if version != address_of(files) or not all(name.replace(".", "").replace("_", "").isalnum() for name in names):
        raise BundleError(version, f"{MANIFEST} does not list the content that its version says")
    return files


def address_of(checksums: dict[str, str]) -> str:
    """Return the version of a bundle whose files have these SHA-256."""
    return "m" + hashlib.sha256(json.dumps(checksums, sort_keys=True).encode()).hexdigest()[:_VERSION_DIGITS]


def fetch_checked(models_url: str, version: str, expected: Mapping[str, str | None]) -> dict[str, bytes]:
    """Return the content of the files named, each compared with its SHA-256. Raises `BundleError`."""
    contents = fetch_bundle(models_url, version, tuple(expected))
    for name, content in contents.items():
        found = hashlib.sha256(content).hexdigest()
        if found != expected[name]:
            raise BundleError(version, f"{name} is damaged: SHA-256 {found[:12]}..., expected {expected[name]}")
    return contents
