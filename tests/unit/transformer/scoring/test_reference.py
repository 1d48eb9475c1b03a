"""What is frozen with a model to watch it by: bins that count every record once, a canary that tells any change."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.unit.transformer.books import SCHEMA, make_book
from transformer.bundles.bundle import load_bundle, save_bundle
from transformer.bundles.calibration import Calibration
from transformer.bundles.canary import Canary, draw_records
from transformer.bundles.column_signs import SIGNS
from transformer.bundles.field_bins import MISSING, UNSEEN, FieldBins
from transformer.bundles.reference import ModelReference
from transformer.bundles.trained_model import TrainedModel
from transformer.records.column_reading import RecordArrays, read_columns
from transformer.records.features import FeatureTransform
from transformer.records.schema import Field, RecordSchema
from transformer.scoring.canary_check import check_canary, freeze_canary
from transformer.scoring.reference_freezing import freeze_reference
from transformer.scoring.scorer import Scorer


@pytest.fixture(scope="module")
def holdout() -> pd.DataFrame:
    return make_book(400, seed=21)[0]


@pytest.fixture(scope="module")
def frozen(trained: TrainedModel, scorer: Scorer, holdout: pd.DataFrame) -> ModelReference:
    return freeze_reference(holdout, trained.transform, scorer)


def arrays(frame: pd.DataFrame) -> RecordArrays:
    return read_columns(frame, SCHEMA)[0]


def test_every_record_is_in_one_bin_of_every_column(frozen: ModelReference, holdout: pd.DataFrame) -> None:
    counts = frozen.field_bins.count(arrays(holdout))
    assert set(counts) == {*SCHEMA.columns, SIGNS}
    assert {sum(bins) for name, bins in counts.items() if name != SIGNS} == {400}


def test_adding_up_the_parts_of_a_book_gives_the_whole(frozen: ModelReference, holdout: pd.DataFrame) -> None:
    whole = frozen.field_bins.count(arrays(holdout))
    parts = [frozen.field_bins.count(arrays(holdout.iloc[start : start + 70])) for start in range(0, 400, 70)]
    for name in SCHEMA.columns:
        assert np.sum([part[name] for part in parts], axis=0).tolist() == whole[name]


def test_missing_and_unseen_values_have_bins_of_their_own(frozen: ModelReference) -> None:
    frame = make_book(10, seed=3)[0].astype({"region": "object"})
    frame.loc[0:3, "age"] = np.nan
    frame.loc[4:5, "age"] = 500
    frame.loc[0:2, "region"] = "moon"
    frame.loc[3, "region"] = None
    counts = frozen.field_bins.count(arrays(frame))
    assert (counts["age"][MISSING] >= 4, counts["age"][UNSEEN]) == (True, 2)
    assert (counts["region"][MISSING], counts["region"][UNSEEN]) == (1, 3)


def test_the_reference_comes_back_from_the_bundle(
    trained: TrainedModel, frozen: ModelReference, holdout: pd.DataFrame, tmp_path: Path
) -> None:
    version = save_bundle(trained, str(tmp_path), reference=frozen)
    loaded = load_bundle(str(tmp_path), version)
    assert loaded.reference is not None
    assert loaded.reference.canary == frozen.canary
    assert loaded.reference.field_bins.count(arrays(holdout)) == frozen.field_bins.count(arrays(holdout))
    assert FieldBins.from_document(json.loads(json.dumps(frozen.field_bins.to_document()))) == frozen.field_bins


def test_the_canary_is_reproduced_exactly_by_a_loaded_model(
    trained: TrainedModel, frozen: ModelReference, tmp_path: Path
) -> None:
    version = save_bundle(trained, str(tmp_path), reference=frozen)
    outcome = check_canary(frozen.canary, Scorer(load_bundle(str(tmp_path), version), version))
    assert (outcome.records, outcome.mismatches, outcome.largest_difference) == (100, 0, 0.0)


def test_the_canary_spans_the_scores(frozen: ModelReference, scorer: Scorer, holdout: pd.DataFrame) -> None:
    scores = scorer.score(holdout).probabilities
    assert min(frozen.canary.probabilities) < np.quantile(scores, 0.05)
    assert max(frozen.canary.probabilities) > np.quantile(scores, 0.95)


def test_the_canary_is_of_nobody(frozen: ModelReference, trained: TrainedModel, holdout: pd.DataFrame) -> None:
    canary, known = frozen.canary.frame(), set(trained.transform.categories["region"])
    rows = pd.concat([holdout, make_book(900)[0]]).astype("object")
    assert canary.merge(rows, on=list(SCHEMA.columns)).empty
    assert not set(canary["amount"].dropna()) & set(rows["amount"])
    assert all(name is None or name in known or name.startswith("nobody ") for name in canary["region"])


def test_the_same_model_has_the_same_canary(frozen: ModelReference, scorer: Scorer) -> None:
    assert freeze_canary(scorer) == frozen.canary
    assert freeze_canary(scorer, seed=1).records != frozen.canary.records


def test_records_of_names_alone_each_have_one_that_no_book_holds() -> None:
    schema = RecordSchema((Field("a", "categorical", ("?",)), Field("b", "categorical")))
    transform = FeatureTransform(schema, {}, {"a": ("x", "y"), "b": ("x",)})
    drawn = draw_records(transform, 200, seed=1)
    for row in zip(drawn["a"], drawn["b"], strict=True):
        assert any(str(value).startswith("nobody ") for value in row), row


def test_a_model_that_scores_otherwise_is_told_by_the_canary(trained: TrainedModel, frozen: ModelReference) -> None:
    other = replace(trained, calibration=Calibration(trained.calibration.slope * 1.001, trained.calibration.intercept))
    outcome = check_canary(frozen.canary, Scorer(other, "other", batch_rows=256))
    assert outcome.mismatches > 50


def test_a_record_that_can_no_longer_be_read_is_a_mismatch(frozen: ModelReference, scorer: Scorer) -> None:
    records = dict(frozen.canary.records)
    records["amount"] = ["text", *records["amount"][1:]]
    assert check_canary(replace(frozen.canary, records=records), scorer).mismatches == 1


def test_a_model_of_a_release_with_another_order_of_sums_may_differ_in_the_last_digit(
    frozen: ModelReference, scorer: Scorer
) -> None:
    older = frozen.canary.to_document()
    del older["arithmetic"]
    older["probabilities"] = [one + 1e-6 for one in older["probabilities"]]
    assert check_canary(Canary.from_document(older), scorer).mismatches == 0
    assert check_canary(replace(frozen.canary, probabilities=older["probabilities"]), scorer).mismatches == 100
    older["probabilities"][0] += 1e-6
    assert check_canary(Canary.from_document(older), scorer).mismatches == 1


def test_a_bundle_of_an_older_release_has_no_reference(trained: TrainedModel, tmp_path: Path) -> None:
    loaded = load_bundle(str(tmp_path), save_bundle(trained, str(tmp_path)))
    assert loaded.reference is None
    assert Scorer(loaded, "m").reference is None
