"""A network as a list of layers over blocks of records: made by walking the Keras network, layer by layer.

A layer with a compiled form gives calls of that; any other is run by TensorFlow in the same list (`foreign`).
"""

# Keras knows the weights of its layers only once they are built.
# pyright: basic

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import tree
from numpy.typing import NDArray

from transformer.arithmetic.kernels import BLOCK_PITCH, BLOCK_ROWS, Floats
from transformer.network.foreign import run_by_tensorflow, trace
from transformer.network.layers import (  # noqa: F401
    attention,
    blocks,
    heads,
    logits,
    names,
    normalisation,
    numbers,
    oblivious_trees,
    tokens,
    trees,
)
from transformer.network.layers.form import FORMS, TOKENS, Call, Calls, FormOf, Place, Pool, View
from transformer.records.features import Inputs

ATTENTION = ("head", "summary_norm")  # the ends of the branch beside the direct one; the last is what only it reads


@dataclass(frozen=True)
class Step:
    """A layer, or an operation, at its place: the Keras node with its tensors."""

    number: int
    node: Any
    is_learnt: bool  # whether it or what it reads has weights that can be trained

    @property
    def layer(self) -> Any:
        """What computes."""
        return self.node.operation


class Plan:
    """The steps of a network, in the order in which they are computed."""

    def __init__(self, network: keras.Model, *, is_compiled: bool = True) -> None:
        self.network, self._is_compiled = network, is_compiled
        self.columns: dict[int, str] = {id(tensor): name for name, tensor in declared(network).items()}
        self.steps: list[Step] = []
        self.by_tensorflow: set[str] = set()  # names of what has no compiled form, once a room was made
        self._traces: dict[int, Any] = {}
        self.readers = Counter[int]()
        learnt: set[int] = set()
        for depth in sorted(network._nodes_by_depth, reverse=True):
            for node in network._nodes_by_depth[depth]:
                if node.operation and not node.is_input:
                    is_learnt = bool(getattr(node.operation, "trainable_variables", ()))
                    is_learnt = is_learnt or any(id(one) in learnt for one in node.input_tensors)
                    learnt |= {id(one) for one in node.outputs} if is_learnt else set()
                    self.readers.update(id(one) for one in node.input_tensors)
                    self.steps.append(Step(len(self.steps), node, is_learnt))
        self.attention = self._steps_before(ATTENTION)

    def _steps_before(self, ends: tuple[str, ...]) -> frozenset[int]:
        """Return the numbers of the steps of these layers, and of all that the last of them is computed from."""
        found, needed = set[int](), set[int]()
        for step in reversed(self.steps):
            name = step.layer.name
            if name in ends or any(id(one) in needed for one in step.node.outputs):
                found.add(step.number)
                if name == ends[-1] or name not in ends:
                    needed |= {id(one) for one in step.node.input_tensors}
        return frozenset(found)

    def calls_of(self, step: Step, room: "Room", view: View, view_gradient: View | None) -> Calls:
        """Return the calls of a step in a room; of one without a compiled form those of TensorFlow."""
        form = self.form_of(step)
        calls = form and form.make(step.layer, room.place(step, view, view_gradient))
        if calls is not None:
            return calls
        self.by_tensorflow.add(step.layer.name)
        if step.number not in self._traces:
            self._traces[step.number] = trace(step.node)
        return run_by_tensorflow(step.node, self._traces[step.number], room, view, view_gradient)

    def form_of(self, step: Step) -> FormOf | None:
        """Return the compiled form of a step, if its layer has one for such tensors."""
        form, given = FORMS.get(type(step.layer)), step.node.input_tensors
        reads_columns = {id(one) in self.columns for one in given} == {True}
        if not self._is_compiled or form is None or reads_columns != form.reads_columns:
            return None
        is_plain = len(step.node.outputs) == 1 and all(one is None for one in step.node.arguments.kwargs.values())
        is_lent = (
            form.in_place or form.joins is not None
        )  # what others read too, or what lies elsewhere, cannot be lent
        lent = given[:1] if form.in_place else given
        return form if is_plain and not (is_lent and any(self.readers[id(one)] > 1 for one in lent)) else None


class Room:
    """Arrays for one block of records, and the calls of all steps on them. Not for two threads at a time.

    `view_gradient` is given where something is learnt; gradients are added to what it returns.
    """

    def __init__(self, plan: Plan, view: View, view_gradient: View | None = None, *, is_dropping: bool = False) -> None:
        self.is_dropping, self.seed = is_dropping, np.zeros(1, np.uint32)
        self._pool = Pool()
        self.columns: dict[str, NDArray[Any]] = {}
        self.tensors: dict[int, Any] = {}
        self._gradients: dict[int, Any] = {}
        self._cleared: list[Floats] = []
        for name, tensor in declared(plan.network).items():
            dtype = np.int32 if "int" in tensor.dtype else np.float32
            self.columns[name] = np.zeros((BLOCK_ROWS, math.prod(tensor.shape[1:])), dtype)
            self.tensors[id(tensor)] = self._gradients[id(tensor)] = self.columns[name]
        for step in reversed(plan.steps):
            self._lay_out(plan, step, is_learning=view_gradient is not None)
        calls = [plan.calls_of(one, self, view, view_gradient) for one in plan.steps]
        self._refresh = [call for one in calls for call in one.refresh]
        pairs = list(zip(calls, plan.steps, strict=True))
        learnt = [(one, step) for one, step in reversed(pairs) if step.is_learnt]
        self._forward, self._backward = dict[bool, list[Call]](), dict[bool, list[Call]]()
        for is_whole in (True, False):
            left_out = frozenset[int]() if is_whole else plan.attention
            self._forward[is_whole] = [
                call for one, step in pairs if step.number not in left_out for call in one.forward
            ]
            self._backward[is_whole] = [
                call for one, step in learnt if step.number not in left_out for call in one.backward
            ]
        self.output, self.d_output = (
            self.tensors[id(plan.network.outputs[0])],
            self._gradients[id(plan.network.outputs[0])],
        )
        self.refresh()

    def _lay_out(self, plan: Plan, step: Step, *, is_learning: bool) -> None:
        """Make room for what a step gives, unless a later one has lent it some, and lend some to what it reads."""
        form = plan.form_of(step)
        for arrays in (self.tensors, self._gradients):
            for one in step.node.outputs:
                if id(one) not in arrays and (arrays is self.tensors or is_learning):
                    arrays[id(one)] = np.zeros(block_shape(one), np.float32)
                    self._cleared += [arrays[id(one)]] if arrays is self._gradients else []
                elif id(one) not in arrays:  # of no use where nothing is learnt
                    arrays[id(one)] = self.tensors[id(one)]
            given, output = step.node.input_tensors, arrays[id(step.node.outputs[0])]
            if form is not None and form.in_place:
                arrays[id(given[0])] = output
            if form is not None and form.joins is not None:
                end = output.shape[form.joins]
                for one in reversed(given):
                    first = end - block_shape(one)[form.joins]
                    arrays[id(one)] = output[first:end] if form.joins == TOKENS else output[:, first:end]
                    end = first

    def place(self, step: Step, view: View, view_gradient: View | None) -> Place:
        """Return what a step finds."""
        given, output = step.node.input_tensors, step.node.outputs[0]
        arguments: Any = tree.map_structure(lambda one: self.tensors.get(id(one), one), step.node.arguments.args)
        self._pool.begin()
        return Place(
            number=step.number,
            arguments=arguments,
            inputs=tuple(self.tensors[id(one)] for one in given),
            output=self.tensors[id(output)],
            d_inputs=tuple(self._gradients[id(one)] for one in given),
            d_output=self._gradients[id(output)],
            seed=self.seed,
            view=view,
            view_gradient=view_gradient,
            is_dropping=self.is_dropping,
            pool=self._pool,
        )

    def gradient(self, tensor: Any) -> Any:
        """Return the gradient of a tensor."""
        return self._gradients[id(tensor)]

    def read(self, columns: Inputs, start: int, stop: int) -> None:
        """Take some records of flat inputs; places behind them keep what they have."""
        for name, values in self.columns.items():
            values[: stop - start] = columns[name][start:stop]

    def refresh(self) -> None:
        """Take notice of changed weights."""
        for call in self._refresh:
            call()

    def forward(self, *, is_whole: bool = True) -> None:
        """Compute all tensors; those of attention stay as they are where not `is_whole`."""
        for call in self._forward[is_whole]:
            call()

    def backward(self, *, is_whole: bool = True) -> None:
        """Compute all gradients from that of the output, which stands in `d_output`; or all but attention's."""
        for call in self._backward[is_whole]:
            call()

    def clear_gradients(self) -> None:
        """Set the gradients of all tensors to zero."""
        for one in self._cleared:
            one.fill(0)


def declared(network: keras.Model) -> dict[str, Any]:
    """Return the tensors that a network is given, by their names."""
    return {one.name: one for one in network.inputs}


def flatten_inputs(network: keras.Model, inputs: Inputs) -> Inputs:
    """Return inputs as arrays (N, columns)."""
    rows = len(next(iter(inputs.values())))
    return {name: np.asarray(inputs[name]).reshape(rows, -1) for name in declared(network)}


def block_shape(tensor: Any) -> tuple[int, int, int]:
    """Return (T, D, BLOCK_PITCH) of a Keras tensor (B, ..., D); T is the product of what lies between."""
    sizes = tensor.shape[1:] or (1,)
    return math.prod(sizes[:-1]), sizes[-1], BLOCK_PITCH


def view_copies(variable: Any) -> Floats:
    """Return a copy of a variable's value."""
    return np.asarray(variable, np.float32).copy()
