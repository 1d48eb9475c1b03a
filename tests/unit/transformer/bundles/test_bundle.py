"""A model bundle is whole, or it is refused; what is loaded scores as what was saved."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.unit.transformer.books import make_book
from transformer.bundles.bundle import MANIFEST, MODEL, WEIGHTS, load_bundle, save_bundle
from transformer.bundles.trained_model import TrainedModel
from transformer.errors import BundleError
from transformer.scoring.scorer import Scorer


@pytest.fixture
def saved(trained: TrainedModel, tmp_path: Path) -> tuple[Path, str]:
    models = tmp_path / "all models"
    return models, save_bundle(trained, str(models), notes={"portfolio": "book"})


def test_a_loaded_model_scores_as_the_saved_one_to_the_bit(scorer: Scorer, saved: tuple[Path, str]) -> None:
    models, version = saved
    loaded = load_bundle(str(models), version)
    frame = make_book(500, seed=4)[0]
    again = Scorer(loaded, version, batch_rows=256).score(frame).probabilities
    np.testing.assert_array_equal(again, scorer.score(frame).probabilities)
    assert loaded.notes == {"portfolio": "book"}


def test_saving_the_same_model_again_gives_the_same_version_and_changes_nothing(
    trained: TrainedModel, saved: tuple[Path, str]
) -> None:
    models, version = saved
    before = (models / version / WEIGHTS).stat()
    assert save_bundle(trained, str(models), notes={"portfolio": "book"}) == version
    assert (models / version / WEIGHTS).stat().st_mtime_ns == before.st_mtime_ns
    assert [path.name for path in models.iterdir()] == [version]


def test_other_content_gets_another_version(trained: TrainedModel, saved: tuple[Path, str]) -> None:
    models, version = saved
    assert save_bundle(trained, str(models), notes={"portfolio": "other"}) != version


@pytest.mark.parametrize("name", [WEIGHTS, MODEL, MANIFEST])
def test_a_flipped_bit_anywhere_is_found(saved: tuple[Path, str], name: str) -> None:
    models, version = saved
    path = models / version / name
    content = bytearray(path.read_bytes())
    for place in (0, len(content) // 2, len(content) - 2):
        damaged = bytearray(content)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        if name == MANIFEST and json.loads(content) == _parsed(bytes(damaged)):
            continue
        with pytest.raises(BundleError, match=version):
            load_bundle(str(models), version)


@pytest.mark.parametrize("name", [WEIGHTS, MODEL, MANIFEST])
@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_found(saved: tuple[Path, str], name: str, kept: float) -> None:
    models, version = saved
    path = models / version / name
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(BundleError, match=name):
        load_bundle(str(models), version)


@pytest.mark.parametrize("name", [WEIGHTS, MODEL, MANIFEST])
def test_a_missing_file_is_named(saved: tuple[Path, str], name: str) -> None:
    models, version = saved
    (models / version / name).unlink()
    with pytest.raises(BundleError, match=name):
        load_bundle(str(models), version)


def test_a_bundle_under_another_name_is_refused(saved: tuple[Path, str]) -> None:
    models, version = saved
    (models / version).rename(models / "m0000000000000000")
    with pytest.raises(BundleError, match="expected format 1"):
        load_bundle(str(models), "m0000000000000000")


@pytest.mark.parametrize("version", ["../secret", "m/../../x", "", "m 1"])
def test_a_version_is_never_a_path(tmp_path: Path, version: str) -> None:
    with pytest.raises(BundleError, match="not the name of a model version"):
        load_bundle(str(tmp_path), version)


def test_a_store_that_fsspec_knows_keeps_bundles_too(trained: TrainedModel) -> None:
    version = save_bundle(trained, "memory://models")
    assert load_bundle("memory://models", version).calibration == trained.calibration


def _parsed(content: bytes) -> object:
    try:
        return json.loads(content)
    except ValueError:
        return None
