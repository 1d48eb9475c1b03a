"""A record's score is its own: not its neighbours', nor that of the way the records were cut."""

import numpy as np
import pandas as pd
import pytest

from tests.unit.transformer.books import SCHEMA, make_book
from transformer.bundles.trained_model import TrainedModel
from transformer.errors import SchemaError
from transformer.network.architecture import build_network
from transformer.network.compiled_network import compilations
from transformer.network.keras_prediction import make_predictor
from transformer.records.column_reading import read_columns
from transformer.records.features import FeatureTransform
from transformer.scoring.scorer import Scorer

RANDOM = np.random.default_rng(11)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return make_book(1000, seed=9)[0]


def test_order_does_not_change_a_score(scorer: Scorer, frame: pd.DataFrame) -> None:
    whole = scorer.score(frame).probabilities
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(frame))
        shuffled = scorer.score(frame.iloc[order].reset_index(drop=True)).probabilities
        np.testing.assert_array_equal(shuffled, whole[order])


def test_neighbours_change_no_logit_however_large_every_weight_is() -> None:
    frame, _, _ = make_book(300)
    arrays, _ = read_columns(frame, SCHEMA)
    transform = FeatureTransform.fit(arrays, SCHEMA)
    network = build_network(transform)
    network.set_weights([RANDOM.normal(size=one.shape) for one in network.get_weights()])
    inputs, predict = transform.transform(arrays), make_predictor(network)
    whole = predict({name: values[:64] for name, values in inputs.items()}).numpy()
    among_others = {name: np.concatenate([values[:32], values[100:132]]) for name, values in inputs.items()}
    np.testing.assert_array_equal(predict(among_others).numpy()[:32], whole[:32])


@pytest.mark.parametrize("rows", [1, 17, 255, 256, 257, 999])
def test_the_cut_does_not_change_a_score(scorer: Scorer, frame: pd.DataFrame, rows: int) -> None:
    few = frame.iloc[: rows * 8]
    parts = [scorer.score(few.iloc[start : start + rows]).probabilities for start in range(0, len(few), rows)]
    np.testing.assert_array_equal(np.concatenate(parts), scorer.score(few).probabilities)


def test_a_bad_neighbour_changes_nothing_but_is_told(scorer: Scorer, frame: pd.DataFrame) -> None:
    spoilt = frame.astype("object")
    spoilt.loc[3, "amount"] = "much"
    spoilt.loc[700, "delay_1"] = np.inf
    found = scorer.score(spoilt)
    assert [(one.row, one.field, one.reason) for one in found.problems] == [
        (3, "amount", "not_a_number"),
        (700, "delay_1", "infinite"),
    ]
    assert sorted([*found.rows.tolist(), 3, 700]) == list(range(len(frame)))
    np.testing.assert_array_equal(found.probabilities, scorer.score(frame).probabilities[found.rows])


def test_a_record_with_two_problems_is_told_once(scorer: Scorer, frame: pd.DataFrame) -> None:
    spoilt = frame.iloc[:5].astype("object")
    spoilt.loc[2, ["amount", "age"]] = "?"
    assert [one.row for one in scorer.score(spoilt).problems] == [2]


def test_nothing_is_compiled_again_after_the_first_time(scorer: Scorer, frame: pd.DataFrame) -> None:
    assert scorer.is_compiled
    for rows in (1, 10, 300, 1000):
        scorer.score(frame.iloc[:rows])
    assert compilations() == 1
    assert scorer.trace_count == 0


def test_a_network_without_compiled_forms_is_scored_alike(
    trained: TrainedModel, scorer: Scorer, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transformer.network.plan.FORMS", {})
    other = Scorer(trained, "m1", batch_rows=256)
    for rows in (1, 10, 300, 1000):
        found = other.score(frame.iloc[:rows]).probabilities
    assert not other.is_compiled
    np.testing.assert_allclose(found, scorer.score(frame).probabilities, atol=2e-6)


def test_no_records_give_no_scores(scorer: Scorer, frame: pd.DataFrame) -> None:
    found = scorer.score(frame.iloc[:0])
    assert (len(found.rows), len(found.probabilities), found.problems) == (0, 0, [])


def test_an_unknown_category_and_missing_values_are_scored(scorer: Scorer, frame: pd.DataFrame) -> None:
    odd = frame.iloc[:3].astype("object")
    odd.loc[0, "region"] = "the moon"
    odd.loc[1] = None
    found = scorer.score(odd)
    assert found.rows.tolist() == [0, 1, 2]
    assert ((found.probabilities > 0) & (found.probabilities < 1)).all()


def test_a_missing_column_is_named(scorer: Scorer, frame: pd.DataFrame) -> None:
    with pytest.raises(SchemaError, match="delay_2"):
        scorer.score(frame.drop(columns="delay_2"))


def test_the_loop_is_heard_of_after_every_batch(scorer: Scorer, frame: pd.DataFrame) -> None:
    beats: list[int] = []
    scorer.score(frame, on_batch=lambda: beats.append(1))
    assert len(beats) == 4  # 1000 records in batches of 256


def test_scores_are_those_of_the_untraced_network(trained: TrainedModel, scorer: Scorer, frame: pd.DataFrame) -> None:
    arrays, _ = read_columns(frame.iloc[:64], trained.schema)
    logits = np.asarray(trained.network(trained.transform.transform(arrays), training=False)).mean(axis=1)
    plain = trained.calibration.probabilities(logits.astype(np.float64))
    np.testing.assert_allclose(scorer.score(frame.iloc[:64]).probabilities, plain, atol=2e-6)
