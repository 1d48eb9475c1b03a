"""Model bundles: everything a model is, in a folder whose name is the hash of its content. Safe formats only.

m0123456789abcdef/
    weights.safetensors   the network's weights, in the order of the network
    model.json            schema, transform, network sizes, calibration, metrics, notes, reference to watch it by
    manifest.json         SHA-256 and size of the two; written last
"""

import hashlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from transformer.bundle_store import fetch_bundle, publish_bundle
from transformer.errors import BundleError
from transformer.features import FeatureTransform
from transformer.network import NetworkOptions, build_network
from transformer.probabilities import Calibration
from transformer.reference import ModelReference
from transformer.schema import RecordSchema
from transformer.training import TrainedModel

WEIGHTS, MODEL, MANIFEST = "weights.safetensors", "model.json", "manifest.json"
FORMAT = 1
_VERSION_DIGITS = 16


@dataclass(frozen=True)
class LoadedModel:
    """A model that was read from its bundle and found whole."""

    network: keras.Model
    transform: FeatureTransform
    calibration: Calibration
    metrics: dict[str, float]
    notes: dict[str, Any]
    reference: ModelReference | None = None

    @property
    def schema(self) -> RecordSchema:
        """The columns it reads."""
        return self.transform.schema


def save_bundle(
    model: TrainedModel,
    models_url: str,
    *,
    notes: dict[str, Any] | None = None,
    reference: ModelReference | None = None,
) -> str:
    """Write the bundle and return its version, an address of its content; saving the same model twice is harmless.

    No partial bundle is ever visible: it is written aside, flushed to disk, and renamed.
    """
    contents = {WEIGHTS: _weights_bytes(model.network), MODEL: _model_bytes(model, notes or {}, reference)}
    checksums = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    version = "m" + hashlib.sha256(json.dumps(checksums, sort_keys=True).encode()).hexdigest()[:_VERSION_DIGITS]
    manifest = {"version": version, "format": FORMAT, "keras": keras.__version__, "files": checksums}
    contents[MANIFEST] = json.dumps(manifest, indent=1, sort_keys=True).encode()
    with tempfile.TemporaryDirectory(prefix="tidemark-bundle-") as folder:
        for name, content in contents.items():
            _write_flushed(Path(folder) / name, content)
        publish_bundle(Path(folder), models_url, version, last=MANIFEST)
    return version


def load_bundle(models_url: str, version: str) -> LoadedModel:
    """Read a bundle. Every checksum is compared before anything is used. Raises `BundleError`."""
    contents = fetch_bundle(models_url, version, (MANIFEST, MODEL, WEIGHTS))
    _check_contents(version, contents)
    document = json.loads(contents[MODEL])
    transform = FeatureTransform.from_document(document["transform"])
    network = build_network(transform, NetworkOptions(**document["network"]))
    _set_weights(network, contents[WEIGHTS], version)
    calibration, frozen = Calibration(**document["calibration"]), document.get("reference")
    reference = None if frozen is None else ModelReference.from_document(frozen)
    return LoadedModel(network, transform, calibration, document["metrics"], document["notes"], reference)


def _check_contents(version: str, contents: dict[str, bytes]) -> None:
    try:
        manifest = json.loads(contents[MANIFEST])
        expected: dict[str, str] = manifest["files"]
        named, layout = manifest["version"], manifest["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(version, f"{MANIFEST} cannot be read") from error
    if named != version or layout != FORMAT:
        raise BundleError(version, f"{MANIFEST} is of version {named}, format {layout}; expected format {FORMAT}")
    for name in (MODEL, WEIGHTS):
        found = hashlib.sha256(contents[name]).hexdigest()
        if found != expected.get(name):
            raise BundleError(version, f"{name} is damaged: SHA-256 {found[:12]}..., expected {expected.get(name)}")
    address = hashlib.sha256(json.dumps(expected, sort_keys=True).encode()).hexdigest()
    if version != "m" + address[:_VERSION_DIGITS]:
        raise BundleError(version, "its content is not what its version says")


def _weights_bytes(network: keras.Model) -> bytes:
    named = {f"{number:04d}": np.ascontiguousarray(value) for number, value in enumerate(network.get_weights())}
    return save(named)


def _set_weights(network: keras.Model, content: bytes, version: str) -> None:
    try:
        named = load(content)
        network.set_weights([named[name] for name in sorted(named)])
    except (SafetensorError, ValueError) as error:
        raise BundleError(version, f"{WEIGHTS} does not fit the network: {error}") from error


def _model_bytes(model: TrainedModel, notes: dict[str, Any], reference: ModelReference | None) -> bytes:
    document = {
        "transform": model.transform.to_document(),
        "network": asdict(model.network_options),
        "calibration": asdict(model.calibration),
        "metrics": model.metrics,
        "notes": notes,
        "reference": None if reference is None else reference.to_document(),
    }
    return json.dumps(document, sort_keys=True, ensure_ascii=False).encode()


def _write_flushed(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
