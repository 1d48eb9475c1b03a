"""The records to learn from."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True)
class Book:
    """The N records to learn from: one row each in all.

    `target` is 1.0 for the bad event, 0.0, or NaN where not known; `as_of` is what orders the records in time.
    `holdout` marks the records to hold out; without it training chooses them.
    """

    frame: pd.DataFrame
    target: NDArray[np.float64]
    keys: NDArray[np.object_]
    as_of: NDArray[np.object_] | None = None
    holdout: NDArray[np.bool_] | None = None
