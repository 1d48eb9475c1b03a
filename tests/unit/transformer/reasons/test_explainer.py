"""Reasons: exact enough, a record's own, and free of any effect on its score."""

import numpy as np
import pandas as pd
import pytest

from tests.unit.transformer.books import SCHEMA, STEPS, make_book
from transformer.bundles.trained_model import TrainedModel
from transformer.reasons.explainer import NO_REASON, Explainer, codes_of
from transformer.reasons.masking import Masking, choose_reference, flatten, masking_effects, shapley_values
from transformer.records.column_reading import read_columns
from transformer.scoring.scorer import Scorer
from transformer.training.reason_fitting import ExplanationOptions, fit_explainer, make_predict

QUICK = ExplanationOptions(predictions=30_000, steps=400)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return make_book(700, seed=9)[0]


@pytest.fixture(scope="module")
def explainer(trained: TrainedModel) -> Explainer:
    learnt, target, _ = make_book(900)
    return fit_explainer(trained, learnt, target, options=QUICK)


@pytest.fixture(scope="module")
def explaining(trained: TrainedModel, explainer: Explainer) -> Scorer:
    return Scorer(trained, "m1", batch_rows=256, explainer=explainer)


@pytest.fixture(scope="module")
def masking(trained: TrainedModel, explainer: Explainer, frame: pd.DataFrame) -> Masking:
    return Masking.find(trained.transform, explainer.reference, frame)


def test_reasons_change_no_score_to_the_bit(explaining: Scorer, scorer: Scorer, frame: pd.DataFrame) -> None:
    np.testing.assert_array_equal(explaining.score(frame).probabilities, scorer.score(frame).probabilities)
    without = explaining.score(frame, with_reasons=False)
    assert without.reasons is None
    np.testing.assert_array_equal(without.probabilities, scorer.score(frame).probabilities)


def test_neither_order_nor_cut_changes_a_reason(explaining: Scorer, frame: pd.DataFrame) -> None:
    whole = explaining.score(frame).reasons
    assert whole is not None
    order = np.random.default_rng(1).permutation(len(frame))
    np.testing.assert_array_equal(explaining.score(frame.iloc[order].reset_index(drop=True)).reasons, whole[order])
    parts = [explaining.score(frame.iloc[start : start + 33]).reasons for start in range(0, len(frame), 33)]
    np.testing.assert_array_equal(np.concatenate([one for one in parts if one is not None]), whole)


def test_masking_the_first_reason_moves_the_score_more_than_masking_another_field(
    trained: TrainedModel, explaining: Scorer, masking: Masking, frame: pd.DataFrame
) -> None:
    effects = np.abs(
        masking_effects(masking, flat_of(trained, frame), make_predict(trained.network, trained.transform))
    )
    reasons = explaining.score(frame).reasons
    assert reasons is not None
    values = np.flatnonzero(reasons[:, 0] != NO_REASON)
    first = reasons[values, 0].astype(int)
    columns = len(masking.columns)
    shift = np.random.default_rng(2).integers(1, columns, len(values))
    other = (first + shift) % columns
    assert len(values) > 0.5 * len(frame)
    assert (effects[values, first] > effects[values, other]).mean() > 0.9


def test_a_record_of_ordinary_values_has_no_reasons(explaining: Scorer, explainer: Explainer) -> None:
    ordinary = pd.DataFrame([explainer.reference], dtype="object")
    reasons = explaining.score(ordinary).reasons
    assert reasons is not None
    assert (reasons == NO_REASON).all()


def test_reasons_are_told_strongest_first_and_once(explaining: Scorer, frame: pd.DataFrame) -> None:
    reasons = explaining.score(frame).reasons
    assert reasons is not None
    for row in reasons.tolist():
        values = [one for one in row if one != NO_REASON]
        assert row == values + [NO_REASON] * (4 - len(values))
        assert len(set(values)) == len(values)


def test_a_loaded_explainer_is_the_saved_one(explainer: Explainer) -> None:
    again = Explainer.from_parts(explainer.to_document(), explainer.to_arrays())
    assert again.to_document() == explainer.to_document()
    for mine, theirs in zip(explainer.weights, again.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_the_same_records_and_seed_give_the_same_explainer(trained: TrainedModel) -> None:
    learnt, target, _ = make_book(300)
    quick = ExplanationOptions(predictions=2_000, steps=10)
    both = [fit_explainer(trained, learnt, target, options=quick) for _ in range(2)]
    for mine, theirs in zip(both[0].weights, both[1].weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_shapley_values_share_out_the_whole_difference(
    trained: TrainedModel, masking: Masking, frame: pd.DataFrame
) -> None:
    flat, predict = flat_of(trained, frame.iloc[:20]), make_predict(trained.network, trained.transform)
    values = shapley_values(masking, flat, predict, permutations=2, random=np.random.default_rng(1))
    whole = predict(masking.unflatten(flat)) - predict(masking.unflatten(masking.reference[None]))
    np.testing.assert_allclose(values.sum(axis=1), whole, atol=1e-4)


def test_masking_is_what_scoring_with_the_reference_value_gives(
    trained: TrainedModel, masking: Masking, explainer: Explainer, frame: pd.DataFrame
) -> None:
    few, predict = frame.iloc[:50], make_predict(trained.network, trained.transform)
    effects = masking_effects(masking, flat_of(trained, few), predict)
    whole = predict(masking.unflatten(flat_of(trained, few)))
    for number, column in enumerate(masking.columns):
        masked = few.astype("object").assign(**{column: explainer.reference[column]})
        replaced = predict(masking.unflatten(flat_of(trained, masked)))
        np.testing.assert_allclose(whole - replaced, effects[:, number], atol=1e-5)


def test_every_input_column_has_a_code_and_places_of_its_own(masking: Masking) -> None:
    assert len(codes_of(SCHEMA)) == len(SCHEMA.columns) == 3 + 2 * STEPS
    assert set(range(len(SCHEMA.columns))) <= set(masking.owner.tolist())


def test_the_reference_of_the_good_is_made_of_good_records_alone() -> None:
    frame = pd.DataFrame({"amount": [1.0, 2.0, 3.0, 100.0, 100.0, 100.0, 100.0], "age": [-9.0] * 7, "region": "north"})
    frame = pd.concat([frame] * 10, ignore_index=True)
    for column in [*SCHEMA.histories[0].columns, *SCHEMA.histories[1].columns]:
        frame[column] = 1.0 if column.startswith("delay") else "good"
    target = np.array([0, 0, 0, 1, 1, 1, 1] * 10, dtype=float)
    assert choose_reference(frame, target, SCHEMA, "population")["amount"] == 100
    good = choose_reference(frame, target, SCHEMA, "good")
    assert (good["amount"], good["age"], good["region"], good["state_0"]) == (2.0, None, "north", "good")


def flat_of(trained: TrainedModel, frame: pd.DataFrame) -> np.ndarray:
    return flatten(trained.transform.transform(read_columns(frame.reset_index(drop=True), trained.schema)[0]))
