"""Compiles the scorer, once on a machine: a step of the installation, so that no worker's first start has to.

`python -m transformer.precompile` takes half a minute the first time and some seconds when there is nothing to do.
"""

import numpy as np
import pandas as pd

from transformer.compiled_network import CompiledNetwork
from transformer.compiled_reasons import CompiledReasons
from transformer.explanation import HeadSizes, Ladder, ReasonHead
from transformer.features import FeatureTransform, read_columns
from transformer.network import build_network
from transformer.schema import Field, RecordSchema
from transformer.vectors import VECTOR

_SCHEMA = RecordSchema((Field("number", "numeric"), Field("name", "categorical")))


def precompile() -> bool:
    """Compile for whatever network is scored later, since all have the same types; return whether it is of use."""
    frame = pd.DataFrame({"number": np.linspace(0, 1, 50), "name": ["a", "b"] * 25})
    arrays, _ = read_columns(frame, _SCHEMA)
    transform = FeatureTransform.fit(arrays, _SCHEMA, np.arange(len(frame)))
    transform.transform(arrays)
    return CompiledNetwork.of(build_network(transform), transform) is not None and _compile_reasons()


def _compile_reasons() -> bool:
    step = np.zeros((1, 1, 1), np.float32)
    head = ReasonHead(Ladder(np.zeros((1, 1), np.int32), step, step + 1, step[0]), HeadSizes())
    head.build((None, 1), (None, VECTOR))
    return CompiledReasons.of(head, VECTOR) is not None


if __name__ == "__main__":
    precompile()
