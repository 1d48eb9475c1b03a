"""What a training gives, before it is saved as a bundle. Scoring knows it without all that trains."""

from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from transformer.bundles.calibration import Calibration
from transformer.network.architecture import NetworkOptions
from transformer.records.features import FeatureTransform
from transformer.records.schema import RecordSchema


@dataclass(frozen=True)
class TrainedModel:
    """A network with everything that scoring and the registry need. `metrics` are of the held-out part.

    `strategy` and `preparation` are JSON documents: how the outcomes were used and why, with the figures of the
    candidates; and what was done to how many rows.
    """

    network: keras.Model
    network_options: NetworkOptions
    transform: FeatureTransform
    calibration: Calibration
    metrics: dict[str, float]
    counts: dict[str, int]
    holdout_keys: NDArray[np.object_]
    reference_probabilities: NDArray[np.float64]
    epochs_run: int
    seconds: float
    strategy: dict[str, Any] = field(default_factory=dict)
    preparation: dict[str, Any] = field(default_factory=dict)

    @property
    def schema(self) -> RecordSchema:
        """The columns it reads."""
        return self.transform.schema
