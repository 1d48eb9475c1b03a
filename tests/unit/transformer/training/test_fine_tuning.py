"""A challenger starts from its champion, stays near it, and leaves it as it was."""

import numpy as np
import pytest

from tests.unit.transformer.books import make_book
from transformer.bundles.bundle import LoadedModel
from transformer.bundles.trained_model import TrainedModel
from transformer.fitting.continued_pretraining import ContinuedOptions, continue_pretraining
from transformer.training.fine_tuning import (
    FineTuningOptions,
    Lesson,
    Material,
    fine_tune,
    inputs_of,
    logits_of,
    recalibrate,
)

ROWS = 600


@pytest.fixture(scope="module")
def champion(trained: TrainedModel) -> LoadedModel:
    """The session's small model, as if it had been read from its bundle."""
    return LoadedModel(
        network=trained.network,
        network_options=trained.network_options,
        transform=trained.transform,
        calibration=trained.calibration,
        metrics={},
        notes={},
    )


@pytest.fixture(scope="module")
def lesson() -> Lesson:
    """New records of the same world, cut into the four parts."""
    frame, target, keys = make_book(ROWS, seed=9)
    bounds = [slice(0, 250), slice(250, 350), slice(350, 450), slice(450, ROWS)]
    return Lesson(*(Material(frame[part].reset_index(drop=True), target[part], keys[part]) for part in bounds))


def distance(one: list[np.ndarray], other: list[np.ndarray]) -> float:
    return float(np.sqrt(sum(((a - b) ** 2).sum() for a, b in zip(one, other, strict=True))))


def test_a_tuned_network_moves_less_the_harder_it_is_pulled_and_its_champion_not_at_all(
    champion: LoadedModel, lesson: Lesson
) -> None:
    before = champion.network.get_weights()
    moved = []
    for pull in (0.0, 500.0):
        tuned = fine_tune(champion, lesson, options=FineTuningOptions(epochs=2, pull=pull))
        moved.append(distance(tuned.network.get_weights(), before))
    assert 0 < moved[1] < moved[0] / 2
    assert distance(champion.network.get_weights(), before) == 0
    assert tuned.counts["exam"] == len(lesson.exam)
    assert np.isfinite(tuned.metrics["brier"])


def test_a_recalibrated_model_keeps_the_order_of_every_record(champion: LoadedModel, lesson: Lesson) -> None:
    model = recalibrate(champion, lesson)
    logits = logits_of(champion, lesson.exam.frame)
    order = np.argsort(logits, kind="stable")
    assert model.network is champion.network
    assert np.all(np.diff(model.reference_probabilities[order]) >= 0)


def test_continued_pretraining_changes_the_body_without_outcomes_and_leaves_head_and_champion(
    champion: LoadedModel, lesson: Lesson
) -> None:
    before = champion.network.get_weights()
    network = continue_pretraining(
        champion, inputs_of(champion, lesson.learn.frame), options=ContinuedOptions(epochs=1, batch_rows=64)
    )
    assert distance(network.get_weights(), before) > 0
    assert distance(champion.network.get_weights(), before) == 0
    kept = [(old, new) for old, new in zip(head_of(champion.network), head_of(network), strict=True)]
    assert all(np.array_equal(old, new) for old, new in kept)


def head_of(network) -> list[np.ndarray]:
    return network.get_layer("head").get_weights()
