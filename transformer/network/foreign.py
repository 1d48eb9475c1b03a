"""Runs a layer without a compiled form by TensorFlow, among layers that have one.

Every call has the shape of one block, so that a record's result does not depend on its neighbours. Its place among them
may change a last bit where TensorFlow's own products round by place; a compiled form has no such rest.
"""

# Keras and TensorFlow's operations have no types.
# pyright: basic

from typing import Any

import numpy as np
import tensorflow as tf

from transformer.arithmetic.kernels import BLOCK_ROWS, Floats
from transformer.network.layers.form import Calls, View


def trace(node: Any) -> Any:
    """Return a traced function from a list of tensors, and whether it is for training, to what the node gives."""
    takes_training = bool(getattr(node.operation, "_call_has_training_arg", False))

    def call(tensors: list[Any], *, is_training: bool) -> list[Any]:
        known = {id(one): value for one, value in zip(node.input_tensors, tensors, strict=True)}
        args, kwargs = node.arguments.fill_in(known)
        given = kwargs | ({"training": is_training} if takes_training else {})
        return tf.nest.flatten(node.operation(*args, **given))

    return tf.function(call)


def run_by_tensorflow(node: Any, traced: Any, room: Any, view: View, view_gradient: View | None) -> Calls:
    """Return the calls of a node in a room; while learning they keep a tape for each block."""
    variables = [one for one in getattr(node.operation, "trainable_variables", ()) if view_gradient is not None]
    view_of_gradient: Any = view_gradient
    kept: list[Any] = []  # the tape, and what it saw

    def forward() -> None:
        tensors = [_read(room.tensors[id(one)], one) for one in node.input_tensors]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([one for one in tensors if one.dtype.is_floating])
            tape.watch([one.value for one in variables])
            outputs = traced(tensors, is_training=room.is_dropping)
        kept[:] = tape, tensors, outputs
        for one, value in zip(node.outputs, outputs, strict=True):
            _turn(value.numpy(), room.tensors[id(one)])

    def backward() -> None:
        tape, tensors, outputs = kept
        slopes = [_read(room.gradient(one), one) for one in node.outputs]
        sources = [one for one in [*tensors, *(one.value for one in variables)] if one.dtype.is_floating]
        zero = tf.UnconnectedGradients.ZERO
        found = iter(tape.gradient(outputs, sources, output_gradients=slopes, unconnected_gradients=zero))
        for one, tensor in zip(node.input_tensors, tensors, strict=True):
            if tensor.dtype.is_floating and room.gradient(one).ndim > 2:
                room.gradient(one)[..., :BLOCK_ROWS] += _turned(next(found).numpy(), room.gradient(one))
            elif tensor.dtype.is_floating:
                next(found)
        for one, gradient in zip(variables, found, strict=True):
            view_of_gradient(one)[...] += tf.convert_to_tensor(gradient).numpy()

    def refresh() -> None:
        for one in variables:
            one.assign(view(one))

    return Calls([forward], [backward], [refresh])


def _read(array: Any, tensor: Any) -> Any:
    """Return what the records of a block have, in the shape and type of a Keras tensor."""
    values = array if array.ndim == 2 else np.moveaxis(array[..., :BLOCK_ROWS], -1, 0)
    return tf.constant(values.reshape((BLOCK_ROWS, *tensor.shape[1:])), tensor.dtype)


def _turned(values: Any, target: Floats) -> Any:
    return np.moveaxis(values.reshape(BLOCK_ROWS, *target.shape[:2]), 0, -1)


def _turn(values: Any, target: Floats) -> None:
    target[..., :BLOCK_ROWS] = _turned(values, target)
