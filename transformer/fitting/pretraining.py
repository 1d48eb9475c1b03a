"""Pretraining without a target: the network learns what records of this book look like, before it is told outcomes.

Three tasks at once, each the cross-entropy of a bin, a kind of missing, or a name:

- from every period, and from the whole representation: the customer's next period (histories only). The history is fed
  one period late, so that the newest period is what the last place must foretell;
- from the pooled token: the fields that were hidden from the network.

Measured: forecasting is what makes few labels enough; hidden fields alone help little.
"""

from dataclasses import dataclass
from time import perf_counter
from typing import Any, cast

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from transformer.fitting.options import EpochReport, Hooks
from transformer.network.architecture import NetworkOptions, count_kinds, name_sizes
from transformer.records.features import MISSING_ID, FeatureTransform, Inputs

EPOCHS = 10
MOST_ROWS = 100_000  # of the book; more teach little for their time
HIDDEN_SHARE = 0.25
BATCH_ROWS = 512
LEARNING_RATE = 2e-3


@dataclass(frozen=True)
class Pretrained:
    """What was done, as a JSON document, and how forecasts are read off the summary (W): their logits are summary @ F.

    The first of `forecasts` (W, F) is of all histories, the others of one numeric history each; without a history there
    are none.
    """

    document: dict[str, Any]
    forecasts: tuple[NDArray[np.float64], ...] = ()


@dataclass(frozen=True)
class PretrainingOptions:
    """How to pretrain, on which rows (default: all); `deadline` is a value of `time.perf_counter`."""

    seed: int
    rows: NDArray[np.int64] | None = None
    epochs: int = EPOCHS
    deadline: float | None = None


def pretrain(
    network: keras.Model,
    transform: FeatureTransform,
    inputs: Inputs,
    *,
    sizes: NetworkOptions,
    options: PretrainingOptions,
    hooks: Hooks,
) -> Pretrained:
    """Train all of the network but its head in place."""
    random = np.random.default_rng(options.seed)
    rows = np.arange(len(next(iter(inputs.values())))) if options.rows is None else options.rows
    chosen = rows[np.sort(random.permutation(len(rows))[:MOST_ROWS])]
    inputs = {name: values[chosen] for name, values in inputs.items()}
    count, batch_rows = len(chosen), min(BATCH_ROWS, max(32, len(chosen) // 8))
    tasks = _Tasks(network, transform, sizes, options.seed, steps=options.epochs * max(1, count // batch_rows))
    losses: list[float] = []
    for epoch in range(1, options.epochs + 1):
        started, order = perf_counter(), random.permutation(count)
        epoch_losses: list[float] = []
        for start in range(0, count - batch_rows + 1, batch_rows):
            batch = {name: values[order[start : start + batch_rows]] for name, values in inputs.items()}
            epoch_losses.append(float(tasks.step(batch)))
            hooks.on_batch()
        losses.append(float(np.mean(epoch_losses)))
        seconds = perf_counter() - started
        hooks.on_epoch(EpochReport(epoch, options.epochs, losses[-1], np.nan, np.nan, seconds, stage="pretraining"))
        if options.deadline is not None and perf_counter() + seconds > options.deadline:
            break
    told = {"rows": count, "epochs": len(losses), "first_loss": losses[0], "last_loss": losses[-1]}
    return Pretrained(told, tasks.read_forecasts())


class _Tasks:
    """The heads of the three tasks, which are thrown away afterwards, and the step."""

    def __init__(
        self, network: keras.Model, transform: FeatureTransform, sizes: NetworkOptions, seed: int, *, steps: int
    ) -> None:
        schema = transform.schema
        self._random = tf.random.Generator.from_seed(seed)
        outputs = {"record": network.get_layer(f"encoder_{sizes.blocks - 1}").output}
        outputs["whole"] = network.get_layer("summary_norm").output
        if schema.steps:
            outputs["past"] = network.get_layer(f"decoder_{sizes.blocks - 1}").output
        self._body = keras.Model(network.inputs, outputs)
        self._bins = transform.bins
        self._field_classes = self._bins + count_kinds(schema.fields)
        self._past_classes = self._bins + count_kinds(schema.histories)
        self._field_sizes = name_sizes(transform, schema.fields)
        self._past_sizes = name_sizes(transform, schema.histories)
        self._numbers = sum(one.kind == "numeric" for one in schema.fields)
        self._pasts = sum(one.kind == "numeric" for one in schema.histories)
        of_fields = self._numbers * self._field_classes + sum(self._field_sizes)
        of_past = self._pasts * self._past_classes + sum(self._past_sizes)
        self._heads = {"record": keras.layers.Dense(of_fields)} if of_fields else {}
        if of_past:
            self._heads |= {"past": keras.layers.Dense(of_past), "whole": keras.layers.Dense(of_past)}
        for name, head in self._heads.items():
            head.build(outputs[name].shape if name != "record" else outputs[name].shape[::2])
        head_weights = [weight for head in self._heads.values() for weight in head.trainable_weights]
        self._variables = [*self._body.trainable_variables, *head_weights]
        decay = keras.optimizers.schedules.CosineDecay(
            0.0, steps, warmup_target=LEARNING_RATE, warmup_steps=max(1, steps // 20)
        )
        self._optimizer = keras.optimizers.AdamW(cast("Any", decay), weight_decay=0.01)
        self._optimizer.build(self._variables)
        self.step = tf.function(self._take_step)

    def read_forecasts(self) -> tuple[NDArray[np.float64], ...]:
        """Return the weights (W, F) from the summary to the logits of the next period: of all, then of each number."""
        head: Any = self._heads.get("whole")
        if head is None:
            return ()
        kernel, width = np.asarray(head.kernel, dtype=np.float64), self._past_classes
        return kernel, *(kernel[:, one * width : (one + 1) * width] for one in range(self._pasts))

    def _take_step(self, batch: Inputs) -> tf.Tensor:
        shown, hidden = self._show(batch)
        with tf.GradientTape() as tape:
            seen = self._body(shown, training=True)
            loss = tf.constant(0.0)
            if "record" in self._heads:
                loss += self._loss_of_fields(self._heads["record"](seen["record"][:, 0]), batch, hidden)
            if "past" in self._heads:
                loss += self._loss_of_past(self._heads["past"](seen["past"]), batch)
                newest = {name: values[:, -1:] for name, values in batch.items() if name.startswith("history")}
                loss += self._loss_of_past(self._heads["whole"](seen["whole"])[:, None], newest)
        wanted = [one.value for one in self._variables]
        gradients = cast("Any", tape).gradient(loss, wanted, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        gradients, _ = tf.clip_by_global_norm(gradients, 1.0)
        self._optimizer.apply(gradients, self._variables)
        return loss

    def _show(self, batch: Inputs) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the batch with fields hidden and the history one period late, and where fields were hidden."""
        shown: dict[str, Any] = dict(batch)
        hidden: dict[str, Any] = {}
        for name, kind in (("positions", "missing"), ("categories", None)):
            if name in shown:
                is_hidden = self._random.uniform(tf.shape(shown[name])) < HIDDEN_SHARE
                hidden[name] = tf.cast(is_hidden, tf.float32)
                blank = 0.0 if kind else MISSING_ID
                shown[name] = tf.where(is_hidden, tf.cast(blank, shown[name].dtype), shown[name])
                if kind:
                    shown[kind] = tf.where(is_hidden, float(self._field_classes - self._bins), shown[kind])
        late = self._past_classes - self._bins  # the kind "hidden": nothing is known of the period before the first
        for name, blank in (("history_positions", 0.0), ("history_missing", late), ("history_categories", MISSING_ID)):
            if name in shown:
                first = tf.cast(tf.fill(tf.shape(shown[name][:, :1]), blank), shown[name].dtype)
                shown[name] = tf.concat([first, shown[name][:, :-1]], axis=1)
        return shown, hidden

    def _loss_of_fields(self, logits: tf.Tensor, batch: Inputs, hidden: dict[str, Any]) -> tf.Tensor:
        loss, split = tf.constant(0.0), self._numbers * self._field_classes
        if self._numbers:
            told = tf.reshape(logits[:, :split], (-1, self._numbers, self._field_classes))
            losses = _cross_entropy(told, _classes(batch["positions"], batch["missing"], self._bins))
            loss += tf.reduce_sum(losses * hidden["positions"]) / (tf.reduce_sum(hidden["positions"]) + 1.0)
        if self._field_sizes:
            losses = _cross_entropies(logits[:, split:], batch["categories"], self._field_sizes)
            loss += tf.reduce_sum(losses * hidden["categories"]) / (tf.reduce_sum(hidden["categories"]) + 1.0)
        return loss

    def _loss_of_past(self, logits: tf.Tensor, batch: Inputs) -> tf.Tensor:
        loss, split = tf.constant(0.0), self._pasts * self._past_classes
        if self._pasts:
            periods = tf.shape(logits)[1]
            told = tf.reshape(logits[:, :, :split], (-1, periods, self._pasts, self._past_classes))
            loss += tf.reduce_mean(
                _cross_entropy(told, _classes(batch["history_positions"], batch["history_missing"], self._bins))
            )
        if self._past_sizes:
            losses = _cross_entropies(logits[:, :, split:], batch["history_categories"], self._past_sizes)
            loss += tf.reduce_mean(losses)
        return loss


def _classes(positions: Any, missing: Any, bins: int) -> Any:
    """The bin of each number, or the kind in which it is missing."""
    places = tf.minimum(tf.cast(positions, tf.int32), bins - 1)
    kinds = tf.cast(missing, tf.int32)
    return tf.where(kinds > 0, bins - 1 + kinds, places)


def _cross_entropy(logits: tf.Tensor, classes: Any) -> tf.Tensor:
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=classes, logits=logits)


def _cross_entropies(logits: tf.Tensor, ids: Any, sizes: tuple[int, ...]) -> tf.Tensor:
    """One loss for each categorical column: its logits stand side by side."""
    parts = tf.split(logits, list(sizes), axis=-1)
    return tf.stack([_cross_entropy(part, ids[..., column]) for column, part in enumerate(parts)], axis=-1)


def represent(network: keras.Model) -> Any:
    """Return a traced function from a batch of inputs to the summary of its tokens: (B, W)."""
    body = keras.Model(network.inputs, network.get_layer("summary_norm").output)
    return tf.function(lambda batch: body(batch, training=False), reduce_retracing=True)


def pretraining_rows(rows: int, holdout: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return all rows but those held out: what is told of them must be of records never seen."""
    return np.setdiff1d(np.arange(rows), holdout)
