"""Fits the head that predicts reasons, after the network and on records that the network may learn from."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, cast

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from numpy.typing import NDArray

from transformer.bundles.bundle import LoadedModel
from transformer.bundles.trained_model import TrainedModel
from transformer.fitting.side_by_side import THREADS
from transformer.network.compiled_network import CompiledNetwork
from transformer.network.keras_prediction import PREDICTION_ROWS
from transformer.reasons.explainer import Explainer, HeadSizes, Ladder, ReasonHead, codes_of
from transformer.reasons.masking import (
    Flat,
    Masking,
    Predict,
    ReferenceKind,
    choose_reference,
    flatten,
    masking_effects,
    shapley_values,
)
from transformer.records.column_reading import read_columns
from transformer.records.features import FeatureTransform, Inputs
from transformer.records.holders import blend_rare

STEPS_A_COLUMN = 12  # on the ladder, per input of a column
MOST_PERMUTATIONS = 4

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ExplanationOptions:
    """How reasons are learnt. `predictions` of the network find the exact effects, and take most of the time."""

    kind: ReferenceKind = "population"
    seed: int = 7
    most_rows: int = 6000
    predictions: int = 200_000
    steps: int = 1000
    batch_rows: int = 256
    learning_rate: float = 1e-2
    weight_decay: float = 1e-4
    held_out_share: float = 0.1


def fit_explainer(
    model: LoadedModel | TrainedModel,
    frame: pd.DataFrame,
    target: Floats,
    *,
    options: ExplanationOptions | None = None,
    on_batch: Callable[[], None] | None = None,
) -> Explainer:
    """Fit reasons on records (N rows of `frame`, all of which can be read) that the network may learn from.

    `target` (N) is 1.0, 0.0 or NaN. The same records, network and seed give the same explainer.
    """
    options = options or ExplanationOptions()
    network, transform = model.network, model.transform
    random = np.random.default_rng(options.seed)
    chosen = frame.iloc[random.permutation(len(frame))[: options.most_rows]].reset_index(drop=True)
    reference = choose_reference(frame, target, transform.schema, options.kind)
    masking = Masking.find(transform, reference, chosen)
    arrays, _ = read_columns(chosen, transform.schema)
    flat = flatten(transform.transform(arrays))
    scored = CompiledNetwork.of(network, transform)
    flat, effects = _find_effects(masking, flat, _predict_by(scored, on_batch), options, random)
    effects = model.calibration.slope * effects
    ladder = _build_ladder(masking, flat)
    head, agreement = _fit_head(ladder, flat, scored.run(masking.unflatten(flat))[1], effects, options)
    return Explainer(
        codes=codes_of(transform.schema),
        kind=options.kind,
        reference=reference,
        ladder=ladder,
        sizes=head.sizes,
        weights=tuple(np.asarray(value, dtype=np.float32) for value in head.get_weights()),
        importance=tuple(np.abs(effects[..., 1]).mean(axis=0).tolist()),
        agreement=agreement,
    )


def exact_effects(
    masking: Masking, flat: Flat, predict: Predict, *, permutations: int, random: np.random.Generator
) -> Floats:
    """Return both effects (N, C, 2): of masking a column alone, and its Shapley value."""
    alone = masking_effects(masking, flat, predict)
    fair = shapley_values(masking, flat, predict, permutations=permutations, random=random)
    return np.stack([alone, fair], axis=-1)


def make_predict(network: keras.Model, transform: FeatureTransform) -> Predict:
    """Return a function from the network's inputs for N records to their mean logits (N)."""
    return _predict_by(CompiledNetwork.of(network, transform), None)


def _predict_by(network: CompiledNetwork, on_batch: Callable[[], None] | None) -> Predict:
    told = on_batch or (lambda: None)
    return lambda inputs: _in_compiled_batches(network, inputs, told)


def _in_compiled_batches(network: CompiledNetwork, inputs: Inputs, on_batch: Callable[[], None]) -> Floats:
    """Score the rows side by side, in as many batches for each thread: a record's logit is its own."""
    rows, parts = len(next(iter(inputs.values()))), list[Floats]()
    rounds = -(-rows // (THREADS * PREDICTION_ROWS))
    size = -(-rows // (THREADS * rounds))

    def run(start: int) -> Floats:
        batch = {name: one[start : start + size] for name, one in inputs.items()}
        return network.run(batch, with_summary=False)[0]

    with ThreadPoolExecutor(THREADS) as pool:
        for part in pool.map(run, range(0, rows, size)):
            parts.append(part)
            on_batch()
    return np.concatenate(parts)


def _find_effects(
    masking: Masking, flat: Flat, predict: Predict, options: ExplanationOptions, random: np.random.Generator
) -> tuple[Flat, Floats]:
    """Use as many records as the budget of predictions allows; with few records, more orders of columns for each."""
    a_pass = len(masking.columns) + 1  # predictions a record to go once through all columns
    rows = min(len(flat), max(1, options.predictions // (3 * a_pass)))
    permutations = int(np.clip((options.predictions // (rows * a_pass) - 1) // 2, 1, MOST_PERMUTATIONS))
    chosen = flat[:rows]
    return chosen, exact_effects(masking, chosen, predict, permutations=permutations, random=random)


def _build_ladder(masking: Masking, flat: Flat) -> Ladder:
    """Place the steps of each input between values seen: half at quantiles of rows, half of distinct values."""
    owned = [np.flatnonzero(masking.owner == number) for number in range(len(masking.columns))]
    most = max(1, *(len(places) for places in owned))
    places = np.zeros((len(owned), most), dtype=np.int32)
    lower = np.full((len(owned), most, STEPS_A_COLUMN), np.finfo(np.float32).max / 4, dtype=np.float32)
    width = np.ones_like(lower)
    for number, mine in enumerate(owned):
        for slot, place in enumerate(mine):
            places[number, slot] = place
            edges = _place_edges(np.append(flat[:, place], masking.reference[place]))
            lower[number, slot, : len(edges) - 1] = edges[:-1]
            width[number, slot, : len(edges) - 1] = np.diff(edges)
    bare = Ladder(places, lower, width, np.zeros((len(owned), most * STEPS_A_COLUMN), dtype=np.float32))
    return Ladder(places, lower, width, bare.climb(masking.reference[None])[0])


def _place_edges(values: Flat) -> NDArray[np.float32]:
    chosen = np.unique(values)
    if len(chosen) > STEPS_A_COLUMN + 1:
        shares = np.linspace(0.0, 1.0, STEPS_A_COLUMN // 2 + 1)
        by_rows = np.quantile(values, shares, method="inverted_cdf")
        by_values = np.quantile(chosen, shares, method="inverted_cdf")
        chosen = np.unique(np.concatenate([by_rows, by_values]))
    # Whole numbers are names, kinds of missing, and the transform's edges; others may be one record's alone.
    is_own = chosen != np.round(chosen)
    blended = blend_rare(values.astype(np.float64), chosen.astype(np.float64))
    return np.unique(np.where(is_own, blended, chosen)).astype(np.float32)


def _fit_head(
    ladder: Ladder, flat: Flat, representation: NDArray[np.float32], effects: Floats, options: ExplanationOptions
) -> tuple[ReasonHead, float]:
    """Least squares on nine tenths of the records; the last tenth tells how well the head agrees."""
    keras.utils.set_random_seed(options.seed)
    head = ReasonHead(ladder, HeadSizes())
    head.build((None, flat.shape[1]), (None, representation.shape[1]))
    learnt = max(1, round(len(flat) * (1 - options.held_out_share)))
    data = [tf.constant(one[:learnt], dtype=tf.float32) for one in (flat, representation, effects)]
    optimizer = keras.optimizers.AdamW(options.learning_rate, weight_decay=options.weight_decay)
    optimizer.build(head.trainable_variables)

    def take_step(chosen: Any, rate: Any) -> None:
        mine = [tf.gather(one, chosen) for one in data]
        variables = head.trainable_variables
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(head(mine[0], mine[1]) - mine[2]))
        cast("Any", optimizer.learning_rate).assign(rate)
        optimizer.apply(tape.gradient(loss, [one.value for one in variables]), variables)

    step, random = tf.function(take_step), np.random.default_rng(options.seed)
    for number in range(options.steps):
        rate = options.learning_rate * 0.5 * (1 + math.cos(math.pi * number / options.steps))
        step(tf.constant(random.integers(0, learnt, min(options.batch_rows, learnt))), tf.constant(np.float32(rate)))
    told = np.asarray(head(tf.constant(flat[learnt:]), tf.constant(representation[learnt:])))
    return head, _explained(told, effects[learnt:])


def _explained(told: NDArray[Any], effects: Floats) -> float:
    """Return 1 - squared errors / squared deviations from each column's mean; 1 where there is nothing to tell."""
    spread = float(np.square(effects - effects.mean(axis=0)).sum()) if len(effects) else 0.0
    return 1.0 - float(np.square(told - effects).sum()) / spread if spread else 1.0
