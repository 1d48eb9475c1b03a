"""The training loop: one traced step, averaged weights, early stopping on validation log loss."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Self, cast

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.metrics import log_loss, roc_auc_score

from transformer.features import Inputs

PREDICTION_ROWS = 2048
USUAL_EPOCHS = 14
LEAST_STEPS = 1000  # a small book goes through its rows more often

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class EpochReport:
    """What an epoch brought; figures on validation rows are of the averaged weights."""

    epoch: int
    epochs: int
    train_loss: float
    valid_log_loss: float
    valid_auc: float
    seconds: float


@dataclass(frozen=True)
class FittingOptions:
    """How to fit. `patience` is in epochs without a better validation figure.

    `pull` draws every weight towards its value at the start, in place of weight decay's draw towards zero: L2-SP of
    Li, Grandvalet and Davoine 2018, arXiv 1802.01483, decoupled from the gradient as in AdamW.
    """

    batch_rows: int
    epochs: int
    seed: int
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    clip_norm: float = 1.0
    averaging: float = 0.99
    warm_up_share: float = 0.05
    patience: int = 4
    pull: float = 0.0

    @classmethod
    def for_rows(cls, rows: int, *, epochs: int | None, seed: int) -> Self:
        """Choose batch and epochs by the number of training rows; small books get more, smaller steps."""
        batch_rows = int(np.clip(2 ** round(math.log2(max(rows, 1) / 28)), 32, 1024))
        steps = math.ceil(rows / batch_rows)
        longer = max(1, LEAST_STEPS // (steps * USUAL_EPOCHS))
        chosen = epochs or USUAL_EPOCHS * longer
        averaging = 0.99 if steps * chosen >= LEAST_STEPS else 0.97
        return cls(batch_rows, chosen, seed, averaging=averaging, patience=4 * longer)


@dataclass(frozen=True)
class Examples:
    """The network's inputs for N rows and their outcomes (N), 0.0 or 1.0."""

    inputs: Inputs
    target: Floats


@dataclass(frozen=True)
class Fitted:
    """The outcome; the network holds the best averaged weights. `valid_logits` (N) are the members' means."""

    epochs_run: int
    valid_auc: float
    valid_logits: Floats


def fit_network(
    network: keras.Model,
    train: Examples,
    valid: Examples,
    *,
    options: FittingOptions,
    on_epoch: Callable[[EpochReport], None],
    on_batch: Callable[[], None],
) -> Fitted:
    """Fit the network in place and leave in it the weights that did best on the validation examples."""
    trainer = _Trainer(network, train, options)
    random = np.random.default_rng(options.seed)
    best: tuple[float, list[Any], Floats] = (math.inf, network.get_weights(), np.zeros(len(valid.target)))
    best_epoch, epoch = 0, 0
    for epoch in range(1, options.epochs + 1):
        started = perf_counter()
        loss = trainer.run_epoch(random.permutation(len(train.target)), on_batch)
        with trainer.averaged_weights():
            logits = predict_logits(network, valid.inputs, on_batch=on_batch, predict=trainer.predict)
            valid_loss = float(log_loss(valid.target, expit(logits)))
            if valid_loss < best[0]:
                best, best_epoch = (valid_loss, network.get_weights(), logits), epoch
        auc = float(roc_auc_score(valid.target, logits))
        on_epoch(EpochReport(epoch, options.epochs, loss, valid_loss, auc, perf_counter() - started))
        if epoch - best_epoch >= options.patience:
            break
    network.set_weights(best[1])
    return Fitted(epoch, float(roc_auc_score(valid.target, best[2])), best[2])


def predict_logits(
    network: keras.Model,
    inputs: Inputs,
    *,
    on_batch: Callable[[], None] | None = None,
    predict: Any = None,
) -> Floats:
    """Return the mean of the members' logits for N rows, in batches of one fixed size (the last one is padded)."""
    predict = predict or make_predictor(network)
    rows = len(next(iter(inputs.values())))
    logits = np.empty(rows, dtype=np.float64)
    for start in range(0, rows, PREDICTION_ROWS):
        stop = min(start + PREDICTION_ROWS, rows)
        batch = {name: pad_rows(values[start:stop], PREDICTION_ROWS) for name, values in inputs.items()}
        logits[start:stop] = predict(batch).numpy()[: stop - start]
        if on_batch is not None:
            on_batch()
    return logits


def make_predictor(network: keras.Model) -> Any:
    """Return a traced function from a batch of inputs to the mean logit of each row."""
    return tf.function(lambda batch: tf.reduce_mean(network(batch, training=False), axis=1), reduce_retracing=True)


def pad_rows(values: NDArray[Any], rows: int) -> NDArray[Any]:
    """Return `values` with rows of zeros behind, up to `rows` rows."""
    missing = rows - len(values)
    return values if missing == 0 else np.concatenate([values, np.zeros((missing, *values.shape[1:]), values.dtype)])


class _Trainer:
    """The step and its state: optimizer, averaged weights, learning rate."""

    def __init__(self, network: keras.Model, train: Examples, options: FittingOptions) -> None:
        self._network = network
        self._options = options
        self._inputs = {name: tf.constant(values) for name, values in train.inputs.items()}
        self._target = tf.constant(train.target, dtype=tf.float32)
        self._batch_rows = min(options.batch_rows, len(train.target))
        self._steps_per_epoch = max(1, len(train.target) // self._batch_rows)
        self._optimizer = keras.optimizers.AdamW(options.learning_rate, weight_decay=options.weight_decay)
        self._optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta", "token", "vectors", "absent"])
        self._optimizer.build(network.trainable_variables)
        self._averages = [tf.Variable(variable.value, trainable=False) for variable in network.trainable_variables]
        self._anchors = [tf.constant(variable.numpy()) for variable in network.trainable_variables]
        self._step_count = 0
        self._step = tf.function(self._take_step)
        self.predict = make_predictor(network)

    def run_epoch(self, order: NDArray[np.int64], on_batch: Callable[[], None]) -> float:
        """Go once through the rows in this order, dropping what does not fill a batch; return the mean loss."""
        losses: list[float] = []
        for number in range(self._steps_per_epoch):
            chosen = order[number * self._batch_rows : (number + 1) * self._batch_rows]
            rate, averaging = self._schedule()
            losses.append(float(self._step(tf.constant(chosen), tf.constant(rate), tf.constant(averaging))))
            self._step_count += 1
            on_batch()
        return float(np.mean(losses))

    def averaged_weights(self) -> "_Averaged":
        """Put the averaged weights into the network for the time of a `with` block."""
        return _Averaged(self._network, self._averages)

    def _schedule(self) -> tuple[np.float32, np.float32]:
        """Linear warm-up, then a cosine down to zero; the average looks back no further than there were steps."""
        total = self._steps_per_epoch * self._options.epochs
        warm_up = max(1.0, self._options.warm_up_share * total)
        done = self._step_count + 1
        share = (done - warm_up) / max(1.0, total - warm_up)
        factor = done / warm_up if done < warm_up else 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
        averaging = min(self._options.averaging, done / (done + 10))
        return np.float32(self._options.learning_rate * max(factor, 1e-3)), np.float32(averaging)

    def _take_step(self, chosen: tf.Tensor, rate: tf.Tensor, averaging: tf.Tensor) -> tf.Tensor:
        batch = {name: tf.gather(values, chosen) for name, values in self._inputs.items()}
        target = tf.gather(self._target, chosen)[:, None]
        variables = self._network.trainable_variables
        with tf.GradientTape() as tape:
            logits = self._network(batch, training=True)  # (B, E)
            losses = tf.nn.sigmoid_cross_entropy_with_logits(tf.broadcast_to(target, tf.shape(logits)), logits)
            loss = tf.reduce_mean(losses)
        gradients, _ = tf.clip_by_global_norm(
            tape.gradient(loss, [variable.value for variable in variables]), self._options.clip_norm
        )
        cast("Any", self._optimizer.learning_rate).assign(rate)
        self._optimizer.apply(gradients, variables)
        if self._options.pull:
            for variable, anchor in zip(variables, self._anchors, strict=True):
                variable.assign_sub(rate * self._options.pull * (variable.value - anchor))
        for average, variable in zip(self._averages, variables, strict=True):
            average.assign(averaging * average + (1.0 - averaging) * variable.value)
        return loss


class _Averaged:
    def __init__(self, network: keras.Model, averages: list[tf.Variable]) -> None:
        self._variables = network.trainable_variables
        self._averages = averages
        self._kept: list[Any] = []

    def __enter__(self) -> None:
        self._kept = [variable.numpy() for variable in self._variables]
        for variable, average in zip(self._variables, self._averages, strict=True):
            variable.assign(average)

    def __exit__(self, *_error: object) -> None:
        for variable, kept in zip(self._variables, self._kept, strict=True):
            variable.assign(kept)
