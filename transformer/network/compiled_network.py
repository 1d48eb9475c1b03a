"""The trained network over plain arrays, for scoring: its layers one after another on blocks of records."""

# Keras knows the weights of its layers only once they are built.
# pyright: basic

from logging import getLogger

import keras
import numpy as np
from numpy.typing import NDArray

from transformer.arithmetic.kernels import BLOCK_ROWS, Floats, compiled, turn_all
from transformer.network.plan import Plan, Room, declared, flatten_inputs, view_copies
from transformer.records.features import FeatureTransform, Inputs

SUMMARY = "head_norm"  # the layer whose output the heads read
_CHECKED_RECORDS = 64
_TOLERANCE = 1e-4  # of a logit, ten times what was ever seen

logger = getLogger(__name__)


class CompiledNetwork:
    """Scores inputs with the weights that a network had when this was made. May be used by many threads."""

    def __init__(self, network: keras.Model, *, is_compiled: bool = True) -> None:
        self._network, self._plan = network, Plan(network, is_compiled=is_compiled)
        self._rooms = [Room(self._plan, view_copies)]  # those that no thread is in
        self._summary = [layer.output for layer in network.layers if layer.name == SUMMARY]

    @classmethod
    def of(cls, network: keras.Model, transform: FeatureTransform) -> "CompiledNetwork":
        """Return a network's compiled form, after it gave what Keras gives for random records.

        One that does not is run by TensorFlow, layer by layer, so that no network is ever scored wrongly.
        """
        inputs = draw_inputs(network, transform)
        expected = np.asarray(network(inputs, training=False)).mean(axis=1)
        made = cls(network)
        if np.allclose(made.run(inputs)[0], expected, rtol=0, atol=_TOLERANCE):
            return made
        logger.warning("The compiled network does not give the logits of Keras: TensorFlow computes all of it.")
        return cls(network, is_compiled=False)

    @property
    def by_tensorflow(self) -> tuple[str, ...]:
        """The names of the layers that have no compiled form."""
        return tuple(sorted(self._plan.by_tensorflow))

    @property
    def summary_width(self) -> int:
        """W."""
        return self._summary[0].shape[-1] if self._summary else 0

    def run(self, inputs: Inputs, *, with_summary: bool = True) -> tuple[NDArray[np.float64], Floats]:
        """Return the mean logit (N) of each record, and what the heads read (N, W): the output of `head_norm`."""
        columns = flatten_inputs(self._network, inputs)
        rows = len(next(iter(columns.values())))
        logits = np.empty(rows, np.float64)
        summary = np.empty((rows if with_summary else 0, self.summary_width), np.float32)
        room = self._take_room()
        for start in range(0, rows, BLOCK_ROWS):
            stop = min(start + BLOCK_ROWS, rows)
            room.read(columns, start, stop)
            room.forward()
            mean_members(room.output, logits[start:stop])
            if with_summary and self._summary:
                turn_rows(room.tensors[id(self._summary[0])], summary[start:stop])
        self._rooms.append(room)
        return logits, summary

    def _take_room(self) -> Room:
        try:
            return self._rooms.pop()
        except IndexError:
            return Room(self._plan, view_copies)


def draw_inputs(network: keras.Model, transform: FeatureTransform) -> Inputs:
    """Random records that fit the network, some of them with missing numbers."""
    random = np.random.default_rng(0)
    fewest = min((len(names) for names in transform.categories.values()), default=0) + 2
    fewest_slots = min((transform.slots_of(one) for one in transform.schema.fields), default=0)
    inputs: Inputs = {}
    for name, tensor in declared(network).items():
        shape = (_CHECKED_RECORDS, *tensor.shape[1:])
        if "positions" in name:
            inputs[name] = random.uniform(0, 3, shape).astype(np.float32)
        elif "missing" in name:
            inputs[name] = (random.random(shape) < 0.2).astype(np.float32)
        else:
            most = fewest if name != "rare" else fewest_slots + 1
            inputs[name] = random.integers(0, most, shape).astype(np.int32)
    for name in ("", "history_"):
        if f"{name}positions" in inputs:
            inputs[f"{name}positions"] *= inputs[f"{name}missing"] == 0
    return inputs


def compilations() -> int:
    """How many forms of the last step were compiled or loaded in this process: one, whatever is scored."""
    return len(mean_members.signatures)


@compiled
def mean_members(members, logits):
    """The mean of each record's members, in their order."""
    total = np.zeros(BLOCK_ROWS, np.float32)
    for e in range(members.shape[1]):
        for record in range(BLOCK_ROWS):
            total[record] += members[0, e, record]
    share = np.float32(members.shape[1])
    for row in range(logits.shape[0]):
        logits[row] = total[row] / share


@compiled
def turn_rows(tensor, rows):
    """Records (N, D) of a tensor with one token."""
    turn_all(tensor[0, :, : rows.shape[0]], rows)
