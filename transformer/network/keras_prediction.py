"""Logits of many rows, in batches of one fixed shape."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from transformer.records.features import Inputs

PREDICTION_ROWS = 1024  # of a network of 100 tokens 2,048 took 250 MB


def predict_logits(
    network: keras.Model,
    inputs: Inputs,
    *,
    on_batch: Callable[[], None] | None = None,
    predict: Any = None,
) -> NDArray[np.float64]:
    """Return the mean of the members' logits for N rows, in batches of one fixed size (the last one is padded)."""
    return predict_rows(predict or make_predictor(network), inputs, on_batch=on_batch)


def predict_rows(predict: Any, inputs: Inputs, *, on_batch: Callable[[], None] | None = None) -> NDArray[np.float64]:
    """Return what `predict` gives for N rows, joined."""
    rows = len(next(iter(inputs.values())))
    parts: list[NDArray[Any]] = []
    for start in range(0, rows, PREDICTION_ROWS):
        stop = min(start + PREDICTION_ROWS, rows)
        batch = {name: pad_rows(values[start:stop], PREDICTION_ROWS) for name, values in inputs.items()}
        parts.append(predict(batch).numpy()[: stop - start])
        if on_batch is not None:
            on_batch()
    return np.concatenate(parts).astype(np.float64)


def make_predictor(network: keras.Model) -> Any:
    """Return a traced function from a batch of inputs to the mean logit of each row."""
    return tf.function(lambda batch: tf.reduce_mean(network(batch, training=False), axis=1), reduce_retracing=True)


def make_group_predictor(network: keras.Model) -> Any:
    """Return a traced function from a batch to the mean logit of each branch's members: (B, G).

    G is 2: attention and the direct branch; or 1 for a network without the direct branch.
    """
    groups = 1 + any(layer.name == "direct" for layer in network.layers)

    def predict(batch: Any) -> Any:
        logits = network(batch, training=False)  # (B, G * E)
        return tf.reduce_mean(tf.reshape(logits, (-1, groups, logits.shape[1] // groups)), axis=2)

    return tf.function(predict, reduce_retracing=True)


def pad_rows(values: NDArray[Any], rows: int) -> NDArray[Any]:
    """Return `values` with rows of zeros behind, up to `rows` rows."""
    missing = rows - len(values)
    return values if missing == 0 else np.concatenate([values, np.zeros((missing, *values.shape[1:]), values.dtype)])
