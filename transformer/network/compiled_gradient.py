"""Loss and gradients of a batch: the network's layers one after another, forward and back, on blocks of records.

Weights stand in one vector, of which layers read their parts, and gradients in another. Each block of a batch has a
room and a vector of gradients of its own, added in order: the number of threads changes no bit.
"""

# Keras knows the weights of its layers only once they are built.
# pyright: basic

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras
import numpy as np

from transformer.arithmetic.dropout import scramble
from transformer.arithmetic.kernels import BLOCK_ROWS, Floats, compiled, sigmoid
from transformer.network.layers.form import View
from transformer.network.plan import Plan, Room, flatten_inputs, view_copies
from transformer.records.features import Inputs

_ZERO = np.float32(0)


class WeightVector:
    """All weights of a network that can be trained, as one vector."""

    def __init__(self, network: keras.Model) -> None:
        self.variables: list[Any] = list(network.trainable_variables)
        sizes = [int(np.prod(one.shape)) for one in self.variables]
        ends = np.cumsum(sizes)
        self.size = int(ends[-1])
        self._places = {
            id(one): slice(end - size, end) for one, end, size in zip(self.variables, ends, sizes, strict=True)
        }

    def read(self) -> Floats:
        """Return the network's present weights."""
        return np.concatenate([np.ravel(np.asarray(one, np.float32)) for one in self.variables])

    def write(self, vector: Floats) -> None:
        """Put the vector into the network."""
        for one in self.variables:
            one.assign(self.part(vector, one))

    def part(self, vector: Floats, variable: Any) -> Floats:
        """Return what belongs to a variable, in its shape."""
        return vector[self._places[id(variable)]].reshape(tuple(variable.shape))

    def view(self, vector: Floats) -> View:
        """Return a view of a vector; what cannot be trained has its present value."""
        return lambda one: self.part(vector, one) if id(one) in self._places else view_copies(one)


class CompiledGradient:
    """Differentiates a network at `theta`, and gives its branches' logits at any other weights."""

    def __init__(self, network: keras.Model, threads: int) -> None:
        self.weights, self.plan = WeightVector(network), Plan(network)
        self.theta, self._looked = self.weights.read(), self.weights.read()
        self.branches = 1 + any(layer.name == "direct" for layer in network.layers)
        self.members = int(network.outputs[0].shape[-1])
        self._learning: dict[bool, list[tuple[Room, Floats]]] = {True: [], False: []}
        self.use_threads(threads)

    def use_threads(self, threads: int) -> None:
        """Share the blocks of a batch among so many."""
        self._threads, self._pool = threads, ThreadPoolExecutor(threads)
        self._looking = [Room(self.plan, self.weights.view(self._looked)) for _ in range(threads)]

    def learn(
        self,
        inputs: Inputs,
        target: Floats,
        weight: Floats,
        *,
        seed: int,
        is_dropping: bool = True,
        is_whole: bool = True,
    ) -> tuple[float, Floats]:
        """Return the loss, the sum over members and records times their weight, and its gradient by all weights.

        Where not `is_whole`, attention is left out: its gradient is zero, and its part of the loss says nothing.
        """
        columns = flatten_inputs(self.plan.network, inputs)
        starts = range(0, len(target), BLOCK_ROWS)
        rooms = self._rooms(len(starts), is_dropping=is_dropping)
        losses = np.zeros(len(starts))

        def run(block: int) -> None:
            (room, gradient), start = rooms[block], starts[block]
            stop = min(start + BLOCK_ROWS, len(target))
            gradient.fill(0)
            room.clear_gradients()
            room.read(columns, start, stop)
            room.seed[0] = scramble(np.uint32((seed + block) % 2**32))
            room.refresh()
            room.forward(is_whole=is_whole)
            losses[block] = judge(room.output, target[start:stop], weight[start:stop], room.d_output)
            room.backward(is_whole=is_whole)

        self._share(run, len(starts))
        whole = rooms[0][1]
        for _, other in rooms[1 : len(starts)]:
            whole += other
        return float(losses.sum()), whole

    def look(self, inputs: Inputs, theta: Floats, *, is_whole: bool = True) -> Floats:
        """Return the mean logit of each branch (N, G) of N rows at these weights; attention's if `is_whole`."""
        self._looked[:] = theta
        columns = flatten_inputs(self.plan.network, inputs)
        rows = len(next(iter(columns.values())))
        found = np.zeros((rows, self.branches), np.float32)
        blocks = -(-rows // BLOCK_ROWS)

        def run(thread: int) -> None:
            room = self._looking[thread]
            room.refresh()
            for block in range(blocks * thread // self._threads, blocks * (thread + 1) // self._threads):
                start, stop = block * BLOCK_ROWS, min((block + 1) * BLOCK_ROWS, rows)
                room.read(columns, start, stop)
                room.forward(is_whole=is_whole)
                mean_branches(room.output, found[start:stop])

        self._share(run, self._threads)
        return found

    def _rooms(self, blocks: int, *, is_dropping: bool) -> list[tuple[Room, Floats]]:
        rooms = self._learning[is_dropping]
        while len(rooms) < blocks:
            gradient = np.zeros_like(self.theta)
            views = self.weights.view(self.theta), self.weights.view(gradient)
            rooms.append((Room(self.plan, *views, is_dropping=is_dropping), gradient))
        return rooms

    def _share(self, run: Any, count: int) -> None:
        if count == 1 or self._threads == 1:
            for one in range(count):
                run(one)
        else:
            list(self._pool.map(run, range(count)))


@compiled
def judge(logits, target, weight, slopes):
    """The loss of a block's records; their slopes by logit, zero where there is no record."""
    total = 0.0
    for member in range(logits.shape[1]):
        for row in range(target.shape[0]):
            z = logits[0, member, row]
            slopes[0, member, row] = (sigmoid(z) - target[row]) * weight[row]
            total += weight[row] * (max(z, _ZERO) - z * target[row] + np.log1p(np.exp(-abs(z))))
        for row in range(target.shape[0], slopes.shape[2]):
            slopes[0, member, row] = _ZERO
    return total


@compiled
def mean_branches(logits, branches):
    """The mean logit of each branch (N, G): the members of each are side by side."""
    groups = branches.shape[1]
    members = logits.shape[1] // groups
    for row in range(branches.shape[0]):
        for group in range(groups):
            mean = _ZERO
            for member in range(group * members, (group + 1) * members):
                mean += logits[0, member, row]
            branches[row, group] = mean / np.float32(members)
