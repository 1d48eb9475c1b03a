"""What a user may set reaches the network that is trained."""

import pytest

from transformer.network.architecture import NetworkOptions
from transformer.training.model_training import TrainingOptions
from worker.training.train_job import options_of


def test_a_job_without_options_trains_with_the_defaults() -> None:
    assert options_of({}) == TrainingOptions()


@pytest.mark.parametrize(("size", "width"), [("small", 16), ("usual", NetworkOptions().d_model), ("large", 64)])
def test_the_size_is_the_width_of_the_network(size: str, width: int) -> None:
    assert options_of({"size": size, "seeds": 2}).network.d_model == width


def test_a_size_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="huge"):
        options_of({"size": "huge"})
