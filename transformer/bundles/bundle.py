"""Model bundles: everything a model is, in a folder whose name is the hash of its content. Safe formats only.

m0123456789abcdef/
    weights.safetensors    the network's weights, in the order of the network
    reasons.safetensors    the head that finds reason codes; absent where none was fitted
    model.json             schema, transform, network sizes, calibration, metrics, reasons, notes, reference to watch by
    card.md card.json *.png    the model card; absent where none was written
    held_out.safetensors   outcomes and probabilities of the held-out records; absent likewise
    manifest.json          SHA-256 of the others; written last
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from transformer.bundles.calibration import Calibration
from transformer.bundles.manifest import FORMAT, MANIFEST, PEOPLE, People, address_of, fetch_checked, read_manifest
from transformer.bundles.reference import ModelReference
from transformer.bundles.store import publish_bundle
from transformer.bundles.trained_model import TrainedModel
from transformer.bundles.weight_order import in_stored_order
from transformer.errors import BundleError
from transformer.network.architecture import NetworkOptions, build_network
from transformer.reasons.explainer import Explainer
from transformer.records.features import FeatureTransform
from transformer.records.holders import LEAST_HOLDERS
from transformer.records.schema import RecordSchema

WEIGHTS, REASONS, MODEL = "weights.safetensors", "reasons.safetensors", "model.json"


@dataclass(frozen=True)
class LoadedModel:
    """A model that was read from its bundle and found whole."""

    network: keras.Model
    network_options: NetworkOptions
    transform: FeatureTransform
    calibration: Calibration
    metrics: dict[str, float]
    notes: dict[str, Any]
    explainer: Explainer | None = None
    reference: ModelReference | None = None
    strategy: dict[str, Any] = field(default_factory=dict)
    preparation: dict[str, Any] = field(default_factory=dict)

    @property
    def schema(self) -> RecordSchema:
        """The columns it reads."""
        return self.transform.schema


def save_bundle(
    model: TrainedModel,
    models_url: str,
    *,
    notes: dict[str, Any] | None = None,
    explainer: Explainer | None = None,
    extras: Mapping[str, bytes] | None = None,
    reference: ModelReference | None = None,
) -> str:
    """Write the bundle and return its version, an address of its content; saving the same model twice is harmless.

    `extras` are further files by name: the model card, the held-out scores. No partial bundle is ever visible: it is
    written aside, flushed to disk, and renamed.
    """
    contents = {WEIGHTS: _weights_bytes(model.network), MODEL: _model_bytes(model, explainer, notes or {}, reference)}
    contents |= {} if explainer is None else {REASONS: save(explainer.to_arrays())}
    is_nameless = reference is None or reference.canary.source is not None
    return publish_contents(
        contents | dict(extras or {}), models_url, people=people_in(model.transform) if is_nameless else People.RECORDS
    )


def people_in(transform: FeatureTransform) -> People:
    """Return what a bundle with this transform holds of people, if nothing else in it does."""
    return People.NONE if transform.holders >= LEAST_HOLDERS else People.VALUES


def publish_contents(contents: dict[str, bytes], models_url: str, *, people: People) -> str:
    """Write a bundle of these files beside the others and return its version."""
    checksums = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    version = address_of(checksums)
    manifest = {"version": version, "format": FORMAT, "keras": keras.__version__, "files": checksums, PEOPLE: people}
    contents = contents | {MANIFEST: json.dumps(manifest, indent=1, sort_keys=True).encode()}
    with tempfile.TemporaryDirectory(prefix="tidemark-bundle-") as folder:
        for name, content in contents.items():
            _write_flushed(Path(folder) / name, content)
        publish_bundle(Path(folder), models_url, version, last=MANIFEST)
    return version


def load_bundle(models_url: str, version: str) -> LoadedModel:
    """Read a bundle. Every checksum is compared before anything is used. Raises `BundleError`."""
    names = read_manifest(models_url, version)
    contents = fetch_checked(models_url, version, {name: names.get(name) for name in (MODEL, WEIGHTS)})
    document = json.loads(contents[MODEL])
    transform = FeatureTransform.from_document(document["transform"])
    options = NetworkOptions(**({"name_tokens": None} | document["network"]))
    network = build_network(transform, options)
    _set_weights(network, contents[WEIGHTS], version)
    frozen = document.get("reference")
    return LoadedModel(
        network=network,
        network_options=options,
        transform=transform,
        calibration=Calibration(**document["calibration"]),
        metrics=document["metrics"],
        notes=document["notes"],
        explainer=_load_explainer(models_url, version, document, names.get(REASONS)),
        reference=None if frozen is None else ModelReference.from_document(frozen),
        strategy=document.get("strategy", {}),
        preparation=document.get("preparation", {}),
    )


def _load_explainer(models_url: str, version: str, document: dict[str, Any], checksum: str | None) -> Explainer | None:
    if checksum is None:
        return None
    content = fetch_checked(models_url, version, {REASONS: checksum})[REASONS]
    return Explainer.from_parts(document["reasons"], load(content))


def _weights_bytes(network: keras.Model) -> bytes:
    values = (np.asarray(one) for one in in_stored_order(network))
    return save({f"{number:04d}": np.ascontiguousarray(value) for number, value in enumerate(values)})


def _set_weights(network: keras.Model, content: bytes, version: str) -> None:
    try:
        named = load(content)
        for variable, name in zip(in_stored_order(network), sorted(named), strict=True):
            variable.assign(named[name])
    except (SafetensorError, ValueError) as error:
        raise BundleError(version, f"{WEIGHTS} does not fit the network: {error}") from error


def _model_bytes(
    model: TrainedModel, explainer: Explainer | None, notes: dict[str, Any], reference: ModelReference | None
) -> bytes:
    document: dict[str, Any] = {
        "transform": model.transform.to_document(),
        "network": asdict(model.network_options),
        "calibration": asdict(model.calibration),
        "metrics": model.metrics,
        "strategy": model.strategy,
        "preparation": model.preparation,
        "notes": notes,
        "reasons": None if explainer is None else explainer.to_document(),
        "reference": None if reference is None else reference.to_document(),
    }
    return json.dumps(document, sort_keys=True, ensure_ascii=False).encode()


def _write_flushed(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
