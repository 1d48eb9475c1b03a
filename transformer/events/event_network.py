"""A small Transformer over a record's events, as it scores: one causal block, pooled, and a logit for each record.

The dense parts are NumPy's, for some thousand events at a time; what is as long as a record has events is compiled.
`event_training` trains the same network with TensorFlow.
"""

import base64
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from transformer.events.event_columns import EventColumns
from transformer.events.event_kernels import attend, embed, pool
from transformer.events.event_tokens import KNOTS, TokenForm, Tokens

WIDTH, HEADS, INNER, HIDDEN = 32, 2, 64, 64
PLAIN, POOLED, GATED = 3, 2, 2  # poolings: last, mean and largest; by attention; by sums of gates
GATE_SCALE = 8.0  # sums of gates are divided by it
EVENTS_AT_ONCE = 8_192
_SMALL = 1e-6

Floats = NDArray[np.float32]
Weights = dict[str, Floats]


def shapes_of(form: TokenForm) -> dict[str, tuple[int, ...]]:
    """Return the shape of each weight.

    `numbers` weighs the places between two knots, and last that a number is missing.
    """
    pooled = WIDTH * (PLAIN + POOLED + GATED)
    return {
        "numbers": (len(form.knots), KNOTS, WIDTH),
        "names": (sum(form.places), WIDTH),
        "bias": (WIDTH,),
        "attention_norm": (WIDTH,),
        "attention": (WIDTH, 3 * WIDTH),
        "attention_out": (WIDTH, WIDTH),
        "dense_norm": (WIDTH,),
        "dense": (WIDTH, INNER),
        "dense_bias": (INNER,),
        "dense_out": (INNER, WIDTH),
        "norm": (WIDTH,),
        "pool": (WIDTH, POOLED + GATED),
        "pool_bias": (POOLED + GATED,),
        "hidden": (pooled, HIDDEN),
        "hidden_bias": (HIDDEN,),
        "logit": (HIDDEN, 1),
        "logit_bias": (1,),
    }


def spans_of(knots: Floats) -> tuple[Floats, Floats]:
    """Return the lower knot of each span (F, KNOTS - 1), and one over its length; 0 for spans that there are not."""
    is_there = np.isfinite(knots[:, 1:])
    lower = np.where(is_there, knots[:, :-1], 0).astype(np.float32)
    length = np.where(is_there, np.where(is_there, knots[:, 1:], 1) - lower, 1)
    return lower, np.where(is_there, 1 / length, 0).astype(np.float32)


@dataclass(frozen=True)
class EventNetwork:
    """What the tokens are, the network's weights by name, and the steps of its training."""

    form: TokenForm
    weights: Weights
    steps: int = 0

    def logits(self, events: EventColumns) -> NDArray[np.float64]:
        """Return the logit of each of N records."""
        found = np.empty(events.records)
        first = 0
        with _threads().limit(limits=1, user_api="blas"):  # more of them wait by spinning
            while first < events.records:
                end = int(np.searchsorted(events.starts, events.starts[first] + EVENTS_AT_ONCE, side="right")) - 1
                end = min(max(end, first + 1), events.records)
                found[first:end] = self.run(self.form.read(events.take(np.arange(first, end))))
                first = end
        return found

    def run(self, tokens: Tokens) -> Floats:
        """Return the logit of each record of some tokens."""
        own, (lower, inverse) = self.weights, spans_of(self.form.knots)
        sums = np.cumsum(own["numbers"][:, :-1], axis=1)
        below = np.concatenate([np.zeros_like(sums[:, :1]), sums], axis=1)
        offsets = np.concatenate([[0], np.cumsum(self.form.places)[:-1]]).astype(np.int32)
        h = np.empty((len(tokens.numbers), WIDTH), np.float32)
        embed(
            tokens.numbers, tokens.names + offsets, lower, inverse, below, own["numbers"], own["names"], own["bias"], h
        )
        seen = np.empty_like(h)
        attend(tokens.starts, _normed(h, own["attention_norm"]) @ own["attention"], HEADS, seen)
        h += seen @ own["attention_out"]
        inner = _normed(h, own["dense_norm"]) @ own["dense"] + own["dense_bias"]
        h += np.maximum(inner, 0) @ own["dense_out"]
        h = _normed(h, own["norm"])
        pooled = np.empty((len(tokens.starts) - 1, len(own["hidden"])), np.float32)
        pool(tokens.starts, h, h @ own["pool"] + own["pool_bias"], POOLED, np.float32(GATE_SCALE), pooled)
        hidden = np.maximum(pooled @ own["hidden"] + own["hidden_bias"], 0)
        return (hidden @ own["logit"] + own["logit_bias"])[:, 0]

    def to_text(self) -> str:
        """Return a text that `network_of` reads back."""
        form = self.form
        numbers = [form.knots, *(self.weights[name] for name in shapes_of(form))]
        data = np.concatenate([one.ravel() for one in numbers]).astype("<f4").tobytes()
        document: dict[str, Any] = {
            "numbers": form.numbers,
            "names": form.names,
            "tracked": form.tracked,
            "most": form.most,
        }
        document["steps"] = self.steps
        return json.dumps(document | {"data": base64.b64encode(data).decode()}, separators=(",", ":"))


@lru_cache(maxsize=16)
def network_of(text: str) -> EventNetwork:
    """Read back what `to_text` wrote. Raises `ValueError` for anything else."""
    document: dict[str, Any] = json.loads(text)
    names = tuple((name, tuple(own)) for name, own in document["names"])
    data = np.frombuffer(base64.b64decode(document["data"]), "<f4").astype(np.float32)
    numbers, tracked = tuple(document["numbers"]), int(document["tracked"])
    count = TokenForm.count_numbers(numbers, tracked)
    form = TokenForm(numbers, names, tracked, int(document["most"]), data[: count * KNOTS].reshape(count, KNOTS))
    shapes = shapes_of(form)
    ends = count * KNOTS + np.cumsum([int(np.prod(one)) for one in shapes.values()])
    if len(data) != ends[-1]:
        raise ValueError(f"expected {ends[-1]} numbers in a network of events, got {len(data)}")
    parts = np.split(data[count * KNOTS :], ends[:-1] - count * KNOTS)
    weights = {name: one.reshape(shapes[name]) for name, one in zip(shapes, parts, strict=True)}
    return EventNetwork(form, weights, int(document["steps"]))


@lru_cache(maxsize=1)
def _threads() -> ThreadpoolController:
    return ThreadpoolController()


def _normed(h: Floats, scale: Floats) -> Floats:
    return h / np.sqrt((h * h).mean(axis=1, keepdims=True) + np.float32(_SMALL)) * scale
