"""Trains a network of events with TensorFlow: first to say what comes next in any record, then an outcome.

What comes next is the type (or the first name), and in which span each of the first numbers lies, the days until then
first of all. It needs no outcomes. The forward pass is that of `event_network`, step for step; a test compares them.
"""

# TensorFlow has no types.
# pyright: basic

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from transformer.events.event_network import (
    GATE_SCALE,
    GATED,
    HEADS,
    POOLED,
    WIDTH,
    EventNetwork,
    Weights,
    shapes_of,
    spans_of,
)
from transformer.events.event_tokens import KNOTS, TokenForm, Tokens

FEW_RECORDS, FEW_AT_ONCE, AT_ONCE = 2_000, 32, 128
RATE, FEW_RATE, DECAY = 3e-3, 2e-3, 1.0
PRETRAINING_RATE, PRETRAINING_DECAY = 3e-3, 0.1
TOKENS_LEFT_OUT, DROPPED, HEAD_DROPPED = 0.3, 0.1, 0.2
WARM_UP = 50  # steps
LOOK_EVERY, PATIENCE, MOST_STEPS = 50, 8, 1_500
PRETRAINING_STEPS = 1_500
FORECAST_NUMBERS = 6  # how many of a token's numbers are forecast: the gap, the hour, and values
_MEAN_OF = 0.99  # the weights that score are a running mean

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class EventTrainer:
    """Tokens (of N records) to learn from, where to start, and who is called at every step."""

    form: TokenForm
    tokens: Tokens
    start: Weights
    seed: int
    on_batch: Callable[[], None]

    @classmethod
    def new(cls, form: TokenForm, tokens: Tokens, seed: int, on_batch: Callable[[], None]) -> "EventTrainer":
        """Return a trainer that starts from random weights."""
        return cls(form, tokens, _draw_weights(form, np.random.default_rng(seed)), seed, on_batch)

    def pretrained(self, rows: Rows, steps: int = PRETRAINING_STEPS) -> "EventTrainer":
        """Return the trainer that starts from what records without outcomes teach."""
        random, run = np.random.default_rng(self.seed), _Run(self.form, self.start, self.seed)
        forecasts, step = _make_forecasts(run, random)
        learnt = [*run.of_encoder, *forecasts]
        optimizer = tf.keras.optimizers.AdamW(PRETRAINING_RATE, weight_decay=PRETRAINING_DECAY, global_clipnorm=1.0)
        optimizer.build(learnt)
        for done in range(steps):
            optimizer.learning_rate.assign(PRETRAINING_RATE * _warm(done + 1) * (0.05 + 0.95 * (1 - done / steps)))
            batch = _gather(self.tokens, random.choice(rows, AT_ONCE), random, left_out=0)
            optimizer.apply_gradients(zip(step(*batch, done), learnt, strict=True))
            self.on_batch()
        return replace(self, start=run.weights_now())

    def fit(self, rows: Rows, target: Floats, steps: int) -> EventNetwork:
        """Fit to the outcomes of some rows; `target` (N) is known of these."""
        for network in self._steps(rows, target, steps, every=steps):
            return network
        raise AssertionError("at least one step is done")

    def fit_until_best(self, rows: Rows, target: Floats, look: Rows) -> tuple[EventNetwork, Floats]:
        """Fit until the loss of other rows does not fall any more; return the best network, and its logits of them."""
        best, best_loss, seen = None, np.inf, np.zeros(0)
        for network in self._steps(rows, target, MOST_STEPS, every=LOOK_EVERY):
            logits = predict(network, self.tokens, look)
            loss = float(np.logaddexp(0, np.where(target[look] == 1, -logits, logits)).mean())
            if best is None or loss < best_loss:
                best, best_loss, seen = network, loss, logits
            elif network.steps - best.steps >= PATIENCE * LOOK_EVERY:
                break
        assert best is not None, "at least one step is done"
        return best, seen

    def _steps(self, rows: Rows, target: Floats, steps: int, *, every: int) -> Iterator[EventNetwork]:
        random, run = np.random.default_rng(self.seed), _Run(self.form, self.start, self.seed)
        size, rate = (FEW_AT_ONCE, FEW_RATE) if len(rows) < FEW_RECORDS else (AT_ONCE, RATE)
        optimizer = tf.keras.optimizers.AdamW(rate, weight_decay=DECAY, global_clipnorm=1.0)
        optimizer.build(run.variables)
        step, order = run.make_step(optimizer), np.zeros(0, np.int64)
        for done in range(1, steps + 1):
            if len(order) < size:
                order = random.permutation(rows)
            batch, order = order[:size], order[size:]
            optimizer.learning_rate.assign(rate * _warm(done))
            step(*_gather(self.tokens, batch, random), target[batch].astype(np.float32), done)
            self.on_batch()
            if done % every == 0:
                yield EventNetwork(self.form, run.mean_now(), done)


def predict(network: EventNetwork, tokens: Tokens, rows: Rows) -> Floats:
    """Return the logits of some of the records."""
    found = np.empty(len(rows))
    for first in range(0, len(rows), AT_ONCE):
        part = rows[first : first + AT_ONCE]
        found[first : first + AT_ONCE] = network.run(_take(tokens, part))
    return found


class _Run:
    """The network as TensorFlow's variables, and the running mean of those."""

    def __init__(self, form: TokenForm, start: Weights, seed: int) -> None:
        self.form, self.seed = form, seed
        self.own: dict[str, Any] = {name: tf.Variable(tf.constant(one)) for name, one in start.items()}
        self.mean: dict[str, Any] = {name: tf.Variable(tf.constant(one)) for name, one in start.items()}
        self.lower, self.inverse = (tf.constant(one) for one in spans_of(form.knots))

    @property
    def variables(self) -> list[Any]:
        return list(self.own.values())

    @property
    def of_encoder(self) -> list[Any]:
        return [one for name, one in self.own.items() if not name.startswith(("pool", "hidden", "logit"))]

    def weights_now(self) -> Weights:
        return {name: one.numpy() for name, one in self.own.items()}

    def mean_now(self) -> Weights:
        return {name: one.numpy() for name, one in self.mean.items()}

    def encode(self, numbers: Any, names: Any, mask: Any, seed: Any) -> Any:
        """Return the tokens (B, L, W) at the end of the block."""
        own = self.own
        is_missing: Any = tf.math.is_nan(numbers)
        known: Any = tf.where(is_missing, 0.0, numbers)
        places = tf.clip_by_value((known[..., None] - self.lower) * self.inverse, 0, 1)
        places = tf.where(is_missing[..., None], 0.0, places)
        places = tf.concat([places, tf.cast(is_missing, tf.float32)[..., None]], -1)
        ones = [tf.one_hot(names[..., column], count) for column, count in enumerate(self.form.places)]
        size = tf.shape(mask)[0], tf.shape(mask)[1]
        flat = tf.concat([tf.reshape(places, [*size, len(self.form.knots) * KNOTS]), *ones], -1)
        weight = tf.concat([tf.reshape(own["numbers"], [-1, WIDTH]), own["names"]], 0)
        h = _dense(flat, weight) + own["bias"]
        h += _drop(_dense(self.attend(_normed(h, own["attention_norm"]), mask), own["attention_out"]), seed, 0)
        inner = tf.nn.relu(_dense(_normed(h, own["dense_norm"]), own["dense"]) + own["dense_bias"])
        return _normed(h + _drop(_dense(inner, own["dense_out"]), seed, 1), own["norm"])

    def attend(self, h: Any, mask: Any) -> Any:
        size = tf.shape(mask)[0], tf.shape(mask)[1]
        projected = tf.reshape(_dense(h, self.own["attention"]), [*size, 3, HEADS, WIDTH // HEADS])
        query, key, value = (tf.transpose(projected[:, :, one], [0, 2, 1, 3]) for one in range(3))
        products = tf.matmul(query, key, transpose_b=True) / np.sqrt(WIDTH // HEADS)
        is_seen = tf.linalg.band_part(tf.ones([size[1], size[1]]), -1, 0) * tf.cast(mask, tf.float32)[:, None, None, :]
        shares = tf.nn.softmax(products - (1 - is_seen) * 1e9)
        return tf.reshape(tf.transpose(tf.matmul(shares, value), [0, 2, 1, 3]), [*size, WIDTH])

    def logits(self, numbers: Any, names: Any, mask: Any, seed: Any) -> Any:
        own, h = self.own, self.encode(numbers, names, mask, seed)
        m = tf.cast(mask, tf.float32)[..., None]
        count = tf.reduce_sum(m, 1)
        has = tf.cast(count > 0, tf.float32)
        last = tf.gather(h, tf.cast(tf.maximum(count[:, 0] - 1, 0), tf.int32), batch_dims=1) * has
        largest = tf.where(has > 0, tf.reduce_max(h - (1 - m) * 1e9, 1), 0.0)
        scores = _dense(h, own["pool"]) + own["pool_bias"]
        shares = tf.nn.softmax(scores[..., :POOLED] - (1 - m) * 1e9, 1) * m
        gates = tf.sigmoid(scores[..., POOLED:]) * m / GATE_SCALE
        weighed = tf.einsum("blk,blw->bkw", tf.concat([shares, gates], -1), h)
        flat = tf.reshape(weighed, [-1, (POOLED + GATED) * WIDTH])
        pooled = tf.concat([last, tf.reduce_sum(h * m, 1) / tf.maximum(count, 1), largest, flat], 1)
        hidden = tf.nn.relu(_drop(pooled, seed, 2, HEAD_DROPPED) @ own["hidden"] + own["hidden_bias"])
        return (_drop(hidden, seed, 3, HEAD_DROPPED) @ own["logit"] + own["logit_bias"])[:, 0]

    def make_step(self, optimizer: Any) -> Callable[..., Any]:
        """Return a compiled step that fits a batch, and moves the running mean."""
        signature = [*_signature(self.form), tf.TensorSpec([None], tf.float32), tf.TensorSpec([], tf.int32)]

        @tf.function(input_signature=signature)
        def step(numbers: Any, names: Any, mask: Any, target: Any, done: Any) -> None:
            with tf.GradientTape() as tape:
                logits = self.logits(numbers, names, mask, [self.seed, done])
                loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(target, logits))
            gradients = tape.gradient(loss, self.variables)
            optimizer.apply_gradients(zip(gradients, self.variables, strict=True))
            kept = tf.minimum(_MEAN_OF, (1 + tf.cast(done, tf.float32)) / (10 + tf.cast(done, tf.float32)))
            for name, one in self.own.items():
                self.mean[name].assign(kept * self.mean[name] + (1 - kept) * one)

        return step


def _make_forecasts(run: _Run, random: np.random.Generator) -> tuple[list[Any], Callable[..., Any]]:
    """Return the weights that forecast the next token, and a compiled step that returns the gradients."""
    form = run.form
    asked = range(1, min(len(form.knots) - form.tracked, 1 + FORECAST_NUMBERS))
    sizes = [*(KNOTS - 1 for _ in asked), form.places[0]]
    heads = [tf.Variable(tf.constant(random.normal(0, 0.02, (WIDTH, size)), tf.float32)) for size in sizes]
    inner = [tf.constant(np.where(np.isfinite(one[1:-1]), one[1:-1], np.float32(3e38))) for one in form.knots]
    learnt = [*run.of_encoder, *heads]

    @tf.function(input_signature=[*_signature(form), tf.TensorSpec([], tf.int32)])
    def step(numbers: Any, names: Any, mask: Any, done: Any) -> Any:
        with tf.GradientTape() as tape:
            h = run.encode(numbers, names, mask, [run.seed, done])[:, :-1]
            weight, following = tf.cast(mask[:, 1:], tf.float32), numbers[:, 1:]
            losses = []
            for head, number in zip(heads, asked, strict=False):
                value = tf.reshape(following[..., number], [-1])
                span = tf.reshape(
                    tf.searchsorted(inner[number], tf.where(tf.math.is_nan(value), 0.0, value)), tf.shape(weight)
                )
                known = weight * tf.cast(~tf.math.is_nan(following[..., number]), tf.float32)
                losses.append(_forecast_loss(_dense(h, head), span, known))
            losses.append(_forecast_loss(_dense(h, heads[-1]), names[:, 1:, 0], weight))
            loss = tf.add_n(losses)
        return tape.gradient(loss, learnt)

    return heads, step


def _forecast_loss(logits: Any, found: Any, weight: Any) -> Any:
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(found, logits)
    return tf.reduce_sum(losses * weight) / tf.maximum(tf.reduce_sum(weight), 1)


def _signature(form: TokenForm) -> list[Any]:
    numbers, names = (
        tf.TensorSpec([None, None, len(form.knots)]),
        tf.TensorSpec([None, None, len(form.places)], tf.int32),
    )
    return [numbers, names, tf.TensorSpec([None, None], tf.bool)]


def _draw_weights(form: TokenForm, random: np.random.Generator) -> Weights:
    weights: Weights = {}
    for name, shape in shapes_of(form).items():
        if name.endswith("norm"):
            weights[name] = np.ones(shape, np.float32)
        elif name.endswith("bias"):
            weights[name] = np.zeros(shape, np.float32)
        else:
            scale = {"numbers": 0.5 / np.sqrt(shape[0]), "names": 0.5 / np.sqrt(len(form.places)), "logit": 0.01}
            own = scale.get(name, (0.5 if name.endswith("out") else 1) / np.sqrt(shape[0]))
            weights[name] = random.normal(0, own, shape).astype(np.float32)
    return weights


def _take(tokens: Tokens, rows: Rows) -> Tokens:
    counts = np.diff(tokens.starts)[rows]
    starts = np.concatenate([[0], np.cumsum(counts)])
    places = np.repeat(tokens.starts[rows] - starts[:-1], counts) + np.arange(starts[-1])
    return Tokens(starts.astype(np.int64), tokens.numbers[places], tokens.names[places])


def _gather(
    tokens: Tokens, rows: Rows, random: np.random.Generator, *, left_out: float = TOKENS_LEFT_OUT
) -> tuple[Any, Any, Any]:
    """Return numbers (B, L, F), names (B, L, C) and which tokens there are (B, L), without some of them by chance."""
    counts = np.diff(tokens.starts)[rows]
    place = np.arange(max(1, counts.max()))
    is_kept = (place < counts[:, None]) & (random.random((len(rows), len(place))) >= left_out)
    order = np.argsort(~is_kept, axis=1, kind="stable")
    mask = np.take_along_axis(is_kept, order, axis=1)[:, : max(2, is_kept.sum(axis=1).max())]
    own = np.where(mask, tokens.starts[rows][:, None] + order[:, : mask.shape[1]], 0)
    if not len(tokens.numbers):
        return (
            np.zeros((*mask.shape, tokens.numbers.shape[1]), np.float32),
            np.zeros((*mask.shape, tokens.names.shape[1]), np.int32),
            mask,
        )
    return tokens.numbers[own], tokens.names[own], mask


def _warm(done: int) -> float:
    return min(1.0, done / WARM_UP)


def _dense(x: Any, kernel: Any) -> Any:
    flat = tf.matmul(tf.reshape(x, [-1, kernel.shape[0]]), kernel)
    return tf.reshape(flat, tf.concat([tf.shape(x)[:-1], [kernel.shape[1]]], 0))


def _normed(h: Any, scale: Any) -> Any:
    return h * tf.math.rsqrt(tf.reduce_mean(h * h, -1, keepdims=True) + 1e-6) * scale


def _drop(x: Any, seed: Any, number: int, share: float = DROPPED) -> Any:
    return tf.nn.experimental.stateless_dropout(x, share, [seed[0], 4 * seed[1] + number])
