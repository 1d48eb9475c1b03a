"""Takes the weights of a trained network apart: plain arrays for `compiled_network`."""

# Keras knows the weights of its layers only once they are built.
# pyright: basic

import math
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from transformer.compiled.kernels import padded
from transformer.compiled.tree_scorer import Tables as TreeTables
from transformer.compiled.tree_scorer import lay_out
from transformer.records.features import FeatureTransform

Floats = NDArray[np.float32]


class Tables(NamedTuple):
    """What each column of the record adds to the tokens, the direct path, and the scorecard's part.

    Row r and share f of a column add `rows[r, 0] + f * rows[r, 1]`: D numbers to the token that begins at
    `token[column]`, the rest beside; zeros fill both up to whole vectors. `first` is the row of the column's first bin
    or name; the rows behind the bins are the kinds of missing. `start` is what stands there before any column: tokens
    first, then what is beside.
    """

    rows: Floats
    first: NDArray[np.int64]
    token: NDArray[np.int64]
    bins: int
    start: Floats


class Parts(NamedTuple):
    """Everything of a network; of each kind of weight those of all blocks lie one behind the other.

    `sizes` are the record's tokens, the periods, D, H, and the width of the direct path.
    """

    tables: Tables
    encoder: tuple[Floats, ...]
    decoder: Any
    head: tuple[Any, ...]
    sizes: tuple[int, int, int, int, int]
    trees: TreeTables | None = None


def take_apart(network: keras.Model, transform: FeatureTransform) -> Parts:
    """Return the weights of a network of `build_network`. Raises what is missing for another structure."""
    layers = {layer.name: layer for layer in network.layers}
    blocks = sum(name.startswith("encoder_") for name in layers)
    first, steps = layers["encoder_0"], transform.schema.steps
    encoder = _stack([_block(layers[f"encoder_{block}"]) for block in range(blocks)])
    nothing = tuple(np.zeros((0, *one.shape[1:]), np.float32) for one in encoder)
    decoder: Any = (nothing, *(np.zeros((0, *shape), np.float32) for shape in _cross_shapes(first.d_model)))
    if steps:
        past = [layers[f"decoder_{block}"] for block in range(blocks)]
        decoder = (_stack([_block(one) for one in past]), *_stack([_crossing(one) for one in past]))
    tables, records = _Collector(layers, transform).collect()
    direct = layers["direct_bias"].vectors.shape[-1] if "direct_bias" in layers else 0
    sizes = (records, steps, first.d_model, first.num_heads, direct)
    trees = lay_out(layers["trees"]) if "trees" in layers else None
    return Parts(tables, encoder, decoder, _head(layers), sizes, trees)


class _Collector:
    """Gathers what the columns add, fields first, then the histories period by period; numbers before names."""

    def __init__(self, layers: dict[str, Any], transform: FeatureTransform) -> None:
        self._layers = layers
        self._width = layers["encoder_0"].d_model
        self._direct = layers["direct_bias"].vectors.shape[-1] if "direct_bias" in layers else 0
        self._steps = transform.schema.steps
        self._kinds = [[one.kind for one in group] for group in (transform.schema.fields, transform.schema.histories)]
        self._bases: list[NDArray[Any]] = []
        self._slopes: list[NDArray[Any]] = []
        self._tokens: list[int] = []

    def collect(self) -> tuple[Tables, int]:
        """Return the tables, and the number of tokens of the record."""
        numbers, pasts = (kinds.count("numeric") for kinds in self._kinds)
        names, named_pasts = (kinds.count("categorical") for kinds in self._kinds)
        groups = min(numbers, getattr(self._layers.get("numbers"), "tokens", numbers))
        records = 1 + max(1, groups + names)  # a record that is history alone has a token of zeros
        start = np.zeros((records + self._steps, self._width))
        start[0] = _array(self._layers["pooled"].token).reshape(-1)
        for place in range(numbers):
            token = 1 + place * groups // numbers
            start[token] += _array(self._layers["numbers"].bias)[place]
            self._add_number(("numbers", "direct_numbers", "card_numbers"), place, place, token)
        for flat in range(self._steps * pasts):
            step, place = divmod(flat, pasts)
            self._add_number(("months", "direct_months", "card_months"), place, flat, records + step)
        for place in range(names):
            start[1 + groups + place] += _array(self._layers["name_places"].vectors)[place]
            self._add_name(("names", "direct_names", "card_names"), place, place, 1 + groups + place)
        for flat in range(self._steps * named_pasts):
            step, place = divmod(flat, named_pasts)
            self._add_name(("month_names", "direct_month_names", "card_month_names"), place, flat, records + step)
        if self._steps:
            start[records:] += _array(self._layers["month_places"].vectors)
        return self._build(start), records

    def _build(self, start: NDArray[Any]) -> Tables:
        beside = np.zeros(self._direct + 1)
        if self._direct:
            beside[: self._direct] = _array(self._layers["direct_bias"].vectors).reshape(-1)
        sizes = [len(one) for one in self._bases]
        rows = np.stack([np.concatenate(self._bases), np.concatenate(self._slopes)], axis=1)
        return Tables(
            rows=np.concatenate([_pad(rows[..., : self._width]), _pad(rows[..., self._width :])], axis=-1),
            first=np.cumsum([0, *sizes[:-1]]).astype(np.int64),
            token=np.array(self._tokens, np.int64) * padded(self._width),
            bins=self._bins(),
            start=np.concatenate([_pad(start).reshape(-1), _pad(beside)]),
        )

    def _bins(self) -> int:
        return next((self._layers[name].bins for name in ("numbers", "months") if name in self._layers), 1)

    def _add_number(self, names: tuple[str, str, str], place: int, flat: int, token: int) -> None:
        """Bins become sums of the bins below and the slope of their own; each kind of missing is a row."""
        layer = self._layers[names[0]]
        kinds = getattr(layer, "kinds", 1)
        bases, slopes = [], []
        for name, where, width in self._columns(names, place, flat):
            slope, absent = np.zeros((layer.bins, width)), np.zeros((kinds, width))
            if name in self._layers:
                slope = _array(self._layers[name].slopes)[where]
                absent = _array(self._layers[name].absent)[where].reshape(kinds, width)
            below = np.cumsum(np.concatenate([np.zeros((1, width)), slope[:-1]]), axis=0)
            bases.append(np.concatenate([below, absent]))
            slopes.append(np.concatenate([slope, np.zeros_like(absent)]))
        self._append(np.concatenate(bases, axis=1), np.concatenate(slopes, axis=1), token)

    def _add_name(self, names: tuple[str, str, str], place: int, flat: int, token: int) -> None:
        size = self._layers[names[0]].sizes[place]
        bases = []
        for name, where, width in self._columns(names, place, flat):
            rows = np.zeros((size, width))
            if name in self._layers:
                before = sum(self._layers[name].sizes[:where])
                rows = _array(self._layers[name].table)[before : before + size]
            bases.append(rows)
        base = np.concatenate(bases, axis=1)
        self._append(base, np.zeros_like(base), token)

    def _columns(self, names: tuple[str, str, str], place: int, flat: int) -> list[tuple[str, int, int]]:
        """Layer, place in it, and width, of what goes to the token, the direct path, and the scorecard's part."""
        widths = (self._width, self._direct, 1)
        return [(name, where, width) for name, where, width in zip(names, (place, flat, flat), widths, strict=True)]

    def _append(self, base: NDArray[Any], slope: NDArray[Any], token: int) -> None:
        self._bases.append(base)
        self._slopes.append(slope)
        self._tokens.append(token)


def _pad(array: NDArray[Any]) -> Floats:
    """Zeros behind the last axis, up to whole vectors."""
    missing = padded(array.shape[-1]) - array.shape[-1]
    return np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, missing)]).astype(np.float32)


def _block(layer: Any) -> tuple[Floats, ...]:
    """Projections (3, D, D), joining, widening, narrowing, each with its bias; the norms are part of the products."""
    attention, forward = layer.attention, layer.feed_forward
    own = [_behind_norm(layer.attention_norm, one) for one in (attention.query, attention.key, attention.value)]
    own[0] = _scaled(own[0], attention.head_width)
    wide = [_behind_norm(layer.feed_forward_norm, one) for one in (forward.gate, forward.value)]
    return (
        np.stack([kernel for kernel, _ in own]),
        np.stack([bias for _, bias in own]),
        *_dense(attention.output_projection),
        np.concatenate([kernel for kernel, _ in wide], axis=1),
        np.concatenate([bias for _, bias in wide]),
        *_dense(forward.output_projection),
    )


def _crossing(layer: Any) -> tuple[Floats, ...]:
    """Asking (D, D), telling (2, D, D) and joining of the attention to the record, each with its bias."""
    attention = layer.cross_attention
    told = [_dense(attention.key), _dense(attention.value)]
    return (
        *_scaled(_behind_norm(layer.cross_norm, attention.query), attention.head_width),
        np.stack([kernel for kernel, _ in told]),
        np.stack([bias for _, bias in told]),
        *_dense(attention.output_projection),
    )


def _cross_shapes(width: int) -> tuple[tuple[int, ...], ...]:
    return ((width, width), (width,), (2, width, width), (2, width), (width, width), (width,))


def _head(layers: dict[str, Any]) -> tuple[Any, ...]:
    """Scale and shift of the norm, then the members' weights, divided by their number: what counts is their mean."""
    norm, head, direct = layers["summary_norm"], layers["head"], layers.get("direct")
    inner, outer = _array(head.inner), _array(head.outer)  # (E, W, hidden), (E, hidden)
    members, width, hidden = inner.shape
    own = (
        [np.zeros((0, 0))] * 3 if direct is None else [_array(direct.scale), _array(direct.shift), _array(direct.outer)]
    )
    count = members + len(own[0])
    return (
        _array(norm.gamma).astype(np.float32),
        _array(norm.beta).astype(np.float32),
        np.ascontiguousarray(inner.transpose(1, 0, 2).reshape(width, members * hidden), np.float32),
        _array(head.inner_bias).reshape(-1).astype(np.float32),
        (outer / count).reshape(-1).astype(np.float32),
        (_array(head.linear).sum(axis=1) / count).astype(np.float32),
        own[0].astype(np.float32),
        own[1].astype(np.float32),
        (own[2] / count).astype(np.float32),
        np.float32(_array(head.outer_bias).sum() / count),
    )


def _behind_norm(norm: Any, dense: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    """(x * gamma + beta) W + b is x (gamma W) + (beta W + b)."""
    kernel, bias = _array(dense.kernel), _array(dense.bias)
    return _array(norm.gamma)[:, None] * kernel, _array(norm.beta) @ kernel + bias


def _scaled(product: tuple[NDArray[Any], NDArray[Any]], head_width: int) -> tuple[NDArray[Any], NDArray[Any]]:
    kernel, bias = product
    return kernel / math.sqrt(head_width), bias / math.sqrt(head_width)


def _dense(layer: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    return _array(layer.kernel), _array(layer.bias)


def _stack(blocks: list[tuple[NDArray[Any], ...]]) -> tuple[Floats, ...]:
    return tuple(np.ascontiguousarray(np.stack(one), np.float32) for one in zip(*blocks, strict=True))


def _array(weight: Any) -> NDArray[Any]:
    return np.asarray(weight, np.float64)
