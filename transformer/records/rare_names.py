"""Names that too few records hold share slots: a hash of the name chooses one.

A slot stands for the records of all its names, and is used where those are as many as a name must have. So a model
learns what rare names have in common with a few others, and holds none of them.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

ROWS_A_SLOT = 30
MOST_SLOTS = 2048

Objects = NDArray[np.object_]
Flags = NDArray[np.bool_]


def fit_slots(rare: Objects, least: int) -> Flags:
    """Return which slots are used, given every record's name that is too rare to be kept (N); least: see `holders`."""
    slots = min(MOST_SLOTS, len(rare) // ROWS_A_SLOT)
    if not slots:
        return np.zeros(0, dtype=bool)
    return np.bincount(slots_of(rare, slots), minlength=slots) >= least


def slots_of(names: Objects, slots: int) -> NDArray[np.int64]:
    """Return the slot of each name (N), the same on every machine."""
    ids, distinct = pd.factorize(names)
    hashes = pd.util.hash_array(np.asarray(distinct, dtype=object), categorize=False)
    return (hashes % np.uint64(slots)).astype(np.int64)[ids]
