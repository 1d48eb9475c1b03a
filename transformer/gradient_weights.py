"""The weights of a network as one vector, and in the form in which the compiled gradient reads them.

Scale and shift of a layer norm are folded into the product behind it, a number's bins into rows of a table, as in
`compiled_weights`; gradients of the folded form are unfolded by the chain rule.
"""

# Keras knows the weights of its layers only once they are built.
# pyright: basic

import math
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from transformer.compiled_weights import Tables, take_apart
from transformer.features import FeatureTransform
from transformer.lanes import PITCH, padded
from transformer.vectors import VECTOR

Floats = NDArray[np.float32]
Chain = tuple[Any, ...]  # arrays and tuples of arrays


class Folding:
    """Knows where each weight stands in the vector, and what form it has for the gradient.

    Raises `KeyError`, `AttributeError`, `ValueError` or `IndexError` for a structure that it does not know.
    """

    def __init__(self, network: keras.Model, transform: FeatureTransform) -> None:
        parts = take_apart(network, transform)
        self._layers: dict[str, Any] = {layer.name: layer for layer in network.layers}
        self.variables: list[Any] = list(network.trainable_variables)
        sizes = [int(np.prod(one.shape)) for one in self.variables]
        ends = np.cumsum(sizes)
        self.size = int(ends[-1])
        self._places = {
            id(one): slice(end - size, end) for one, end, size in zip(self.variables, ends, sizes, strict=True)
        }
        self.sizes, self._blocks = parts.sizes, len(parts.encoder[0])
        self.transform = transform
        head = self._layers["head"]
        self.members, self.ways = head.members, 1 + ("direct" in self._layers)
        self.tables = self._own_tables(parts.tables)
        known = sum(int(np.prod(one.shape)) for one in self._all_known())
        if known != self.size:
            raise ValueError(f"expected {self.size} weights that can be trained, know {known}")

    def read(self) -> Floats:
        """Return the network's present weights as one vector."""
        return np.concatenate([np.ravel(np.asarray(one, np.float32)) for one in self.variables])

    def write(self, vector: Floats) -> None:
        """Put the vector into the network."""
        for one in self.variables:
            one.assign(self.view(vector, one))

    def view(self, vector: Floats, variable: Any) -> Floats:
        """Return the part of a vector that belongs to a variable, in its shape."""
        return vector[self._places[id(variable)]].reshape(tuple(variable.shape))

    def fold(self, vector: Floats) -> Chain:
        """Return the weights of encoder, decoder and head for the gradient, and fill in the tables."""
        self._fold_tables(vector)
        encoder = _stack([self._fold_block(vector, self._layers[f"encoder_{block}"]) for block in range(self._blocks)])
        nothing = (np.zeros(max(4 * self.sizes[2], encoder[4].shape[2]), np.float32),)
        encoder = (*encoder, *_turn(encoder), *nothing)
        if self.sizes[1]:
            layers = [self._layers[f"decoder_{block}"] for block in range(self._blocks)]
            own = _stack([self._fold_block(vector, one) for one in layers])
            crossing = _stack([self._fold_crossing(vector, one) for one in layers])
            turned = tuple(np.ascontiguousarray(np.swapaxes(crossing[place], -1, -2)) for place in (0, 2, 4))
        else:
            own = tuple(np.zeros((0, *one.shape[1:]), np.float32) for one in encoder[:8])
            width = self.sizes[2]
            shapes = ((width, width), (width,), (2, width, width), (2, width), (width, width), (width,))
            crossing = tuple(np.zeros((0, *shape), np.float32) for shape in shapes)
            turned = (crossing[0], crossing[2], crossing[4])
        decoder = ((*own, *_turn(own), *nothing), *crossing, *turned)
        return encoder, decoder, (*self._fold_head(vector), *nothing)

    def make_gradients(self, weights: Chain) -> tuple[Floats, Chain]:
        """Return a vector of zeros, and views of it in the form of the gradients."""
        encoder, decoder, head = weights
        forms = [self.tables.rows, self.tables.start, *encoder[:8], *decoder[0][:8], *decoder[1:7], *head[:10]]
        whole = np.zeros(sum(one.size for one in forms), np.float32)
        views, start = [], 0
        for one in forms:
            views.append(whole[start : start + one.size].reshape(one.shape))
            start += one.size
        return whole, (*views[:2], tuple(views[2:10]), (tuple(views[10:18]), *views[18:24]), tuple(views[24:]))

    def unfold(self, gradients: Chain, vector: Floats) -> Floats:
        """Return the gradient of each weight of the vector, from those of the folded form."""
        rows, start, encoder, decoder, head = gradients
        out = np.zeros(self.size, np.float32)
        self._unfold_tables(rows, start, out)
        for block in range(self._blocks):
            mine = tuple(one[block] for one in encoder)
            self._unfold_block(vector, out, self._layers[f"encoder_{block}"], mine)
            if self.sizes[1]:
                layer = self._layers[f"decoder_{block}"]
                self._unfold_block(vector, out, layer, tuple(one[block] for one in decoder[0]))
                self._unfold_crossing(vector, out, layer, tuple(one[block] for one in decoder[1:]))
        self._unfold_head(head, out)
        return out

    # -- tables ---------------------------------------------------------------------------------------------------

    def _own_tables(self, tables: Tables) -> Tables:
        """The tables with a scorecard's part that stays as it is, and places for all that is learnt."""
        records, steps, width, _, direct = self.sizes
        schema = self.transform.schema
        self._token_size, self._direct = padded(width), direct
        counts = [[one.kind for one in group].count for group in (schema.fields, schema.histories)]
        self._numbers, self._pasts = (count("numeric") for count in counts)
        self._steps, self._records = steps, records
        rows_of = lambda name: self._layers[name].bins + self._layers[name].kinds  # noqa: E731
        field_rows = self._numbers * rows_of("numbers") if self._numbers else 0
        past_rows = steps * self._pasts * rows_of("months") if self._pasts else 0
        name_rows = sum(self._layers["names"].sizes) if "names" in self._layers else 0
        total = len(tables.rows)
        ends = np.cumsum([field_rows, past_rows, name_rows])
        self._regions = (slice(0, ends[0]), slice(ends[0], ends[1]), slice(ends[1], ends[2]), slice(ends[2], total))
        return tables._replace(rows=tables.rows.copy(), start=tables.start.copy())

    def _each_number(self) -> list[tuple[slice, tuple[int, ...], str, str]]:
        """Regions of numbers with their shape (columns, rows of one, ...), token's layer and direct layer."""
        found = []
        if self._numbers:
            found.append((self._regions[0], (1, self._numbers), "numbers", "direct_numbers"))
        if self._pasts:
            found.append((self._regions[1], (self._steps, self._pasts), "months", "direct_months"))
        return found

    def _each_name(self) -> list[tuple[slice, tuple[int, ...], str, str]]:
        found = []
        if "names" in self._layers:
            found.append((self._regions[2], (1, -1), "names", "direct_names"))
        if "month_names" in self._layers:
            found.append((self._regions[3], (self._steps, -1), "month_names", "direct_month_names"))
        return found

    def _fold_tables(self, vector: Floats) -> None:
        rows, size, direct = self.tables.rows, self._token_size, self._direct
        width = self.sizes[2]
        for region, (times, columns), name, direct_name in self._each_number():
            layer = self._layers[name]
            bins = layer.bins
            own = rows[region].reshape(times, columns, bins + layer.kinds, 2, -1)
            _fold_number(own[..., :width], bins, self.view(vector, layer.slopes), self.view(vector, layer.absent))
            if direct:
                beside = self._layers[direct_name]
                shape = (times, columns)
                slopes = self.view(vector, beside.slopes).reshape(*shape, bins, direct)
                absent = self.view(vector, beside.absent).reshape(*shape, layer.kinds, direct)
                _fold_number(own[..., size : size + direct], bins, slopes, absent)
        for region, (times, _), name, direct_name in self._each_name():
            own = rows[region].reshape(times, -1, 2, rows.shape[2])
            own[:, :, 0, :width] = self.view(vector, self._layers[name].table)
            if direct:
                table = self.view(vector, self._layers[direct_name].table)
                own[:, :, 0, size : size + direct] = table.reshape(times, -1, direct)
        self._fold_start(vector)

    def _fold_start(self, vector: Floats) -> None:
        start, width, direct = self.tables.start, self.sizes[2], self._direct
        tokens = self._records + self._steps
        places = start[: tokens * self._token_size].reshape(tokens, -1)
        places[:, :width] = 0
        places[0, :width] = self.view(vector, self._layers["pooled"].token).reshape(-1)
        if self._numbers:
            np.add.at(places[:, :width], self._tokens_of_numbers(), self.view(vector, self._layers["numbers"].bias))
        if "name_places" in self._layers:
            vectors = self.view(vector, self._layers["name_places"].vectors)
            places[self._records - len(vectors) : self._records, :width] += vectors
        if self._steps:
            places[self._records :, :width] += self.view(vector, self._layers["month_places"].vectors)
        if direct:
            beside = start[tokens * self._token_size :]
            beside[:direct] = self.view(vector, self._layers["direct_bias"].vectors).reshape(-1)

    def _tokens_of_numbers(self) -> NDArray[np.int64]:
        groups = min(self._numbers, self._layers["numbers"].tokens)
        return 1 + np.arange(self._numbers) * groups // self._numbers

    def _unfold_tables(self, rows: Floats, start: Floats, out: Floats) -> None:
        size, direct, width = self._token_size, self._direct, self.sizes[2]
        for region, (times, columns), name, direct_name in self._each_number():
            layer = self._layers[name]
            bins = layer.bins
            own = rows[region].reshape(times, columns, bins + layer.kinds, 2, -1)
            slopes, absent = _unfold_number(own[..., :width], bins)
            self.view(out, layer.slopes)[:] = slopes.sum(axis=0)
            self.view(out, layer.absent)[:] = absent.sum(axis=0)
            if direct:
                slopes, absent = _unfold_number(own[..., size : size + direct], bins)
                beside = self._layers[direct_name]
                self.view(out, beside.slopes)[:] = slopes.reshape(tuple(beside.slopes.shape))
                self.view(out, beside.absent)[:] = absent.reshape(tuple(beside.absent.shape))
        for region, (times, _), name, direct_name in self._each_name():
            own = rows[region].reshape(times, -1, 2, rows.shape[2])
            self.view(out, self._layers[name].table)[:] = own[:, :, 0, :width].sum(axis=0)
            if direct:
                table = self._layers[direct_name].table
                self.view(out, table)[:] = own[:, :, 0, size : size + direct].reshape(tuple(table.shape))
        self._unfold_start(start, out)

    def _unfold_start(self, start: Floats, out: Floats) -> None:
        width, direct = self.sizes[2], self._direct
        tokens = self._records + self._steps
        places = start[: tokens * self._token_size].reshape(tokens, -1)[:, :width]
        self.view(out, self._layers["pooled"].token)[:] = places[0]
        if self._numbers:
            self.view(out, self._layers["numbers"].bias)[:] = places[self._tokens_of_numbers()]
        if "name_places" in self._layers:
            vectors = self._layers["name_places"].vectors
            self.view(out, vectors)[:] = places[self._records - vectors.shape[0] : self._records]
        if self._steps:
            self.view(out, self._layers["month_places"].vectors)[:] = places[self._records :]
        if direct:
            beside = start[tokens * self._token_size :]
            self.view(out, self._layers["direct_bias"].vectors)[:] = beside[:direct]

    # -- layers ---------------------------------------------------------------------------------------------------

    def _fold_block(self, vector: Floats, layer: Any) -> Chain:
        attention, forward = layer.attention, layer.feed_forward
        own = [self._behind_norm(vector, layer.attention_norm, one) for one in _inner(attention)]
        scale = np.float32(1 / math.sqrt(attention.head_width))
        own[0] = (own[0][0] * scale, own[0][1] * scale)
        wide = [self._behind_norm(vector, layer.feed_forward_norm, one) for one in (forward.gate, forward.value)]
        return (
            np.stack([kernel for kernel, _ in own]),
            np.stack([bias for _, bias in own]),
            *self._dense(vector, attention.output_projection),
            np.concatenate([kernel for kernel, _ in wide], axis=1),
            np.concatenate([bias for _, bias in wide]),
            *self._dense(vector, forward.output_projection),
        )

    def _unfold_block(self, vector: Floats, out: Floats, layer: Any, gradients: Chain) -> None:
        projection, projection_bias, joining, joining_bias, widening, widening_bias, narrowing, narrowing_bias = (
            gradients
        )
        attention, forward = layer.attention, layer.feed_forward
        scale = np.float32(1 / math.sqrt(attention.head_width))
        for part, dense in enumerate(_inner(attention)):
            factor = scale if part == 0 else np.float32(1)
            mine = (factor * projection[part], factor * projection_bias[part])
            self._unfold_behind_norm(vector, out, layer.attention_norm, dense, mine)
        self._unfold_dense(out, attention.output_projection, joining, joining_bias)
        half = widening.shape[1] // 2
        for part, dense in enumerate((forward.gate, forward.value)):
            place = slice(part * half, (part + 1) * half)
            mine = (widening[:, place], widening_bias[place])
            self._unfold_behind_norm(vector, out, layer.feed_forward_norm, dense, mine)
        self._unfold_dense(out, forward.output_projection, narrowing, narrowing_bias)

    def _fold_crossing(self, vector: Floats, layer: Any) -> Chain:
        attention = layer.cross_attention
        scale = np.float32(1 / math.sqrt(attention.head_width))
        kernel, bias = self._behind_norm(vector, layer.cross_norm, attention.query)
        told = [self._dense(vector, one) for one in (attention.key, attention.value)]
        return (
            kernel * scale,
            bias * scale,
            np.stack([one for one, _ in told]),
            np.stack([one for _, one in told]),
            *self._dense(vector, attention.output_projection),
        )

    def _unfold_crossing(self, vector: Floats, out: Floats, layer: Any, gradients: Chain) -> None:
        asking, asking_bias, telling, telling_bias, joining, joining_bias = gradients
        attention = layer.cross_attention
        scale = np.float32(1 / math.sqrt(attention.head_width))
        self._unfold_behind_norm(vector, out, layer.cross_norm, attention.query, (scale * asking, scale * asking_bias))
        for part, dense in enumerate((attention.key, attention.value)):
            self._unfold_dense(out, dense, telling[part], telling_bias[part])
        self._unfold_dense(out, attention.output_projection, joining, joining_bias)

    def _fold_head(self, vector: Floats) -> Chain:
        norm, head, direct = self._layers["summary_norm"], self._layers["head"], self._layers.get("direct")
        inner = self.view(vector, head.inner)  # (E, W, hidden)
        members, width, hidden = inner.shape
        flat = np.ascontiguousarray(inner.transpose(1, 0, 2).reshape(width, members * hidden))
        linear = self.view(vector, head.linear)
        own = [np.zeros((0, 0), np.float32)] * 3
        if direct is not None:
            own = [self.view(vector, one) for one in (direct.scale, direct.shift, direct.outer)]
        return (
            self.view(vector, norm.gamma),
            self.view(vector, norm.beta),
            flat,
            self.view(vector, head.inner_bias).reshape(-1),
            self.view(vector, head.outer),
            linear,
            self.view(vector, head.outer_bias),
            *own,
            np.ascontiguousarray(flat.T),
            np.ascontiguousarray(linear.T),
        )

    def _unfold_head(self, gradients: Chain, out: Floats) -> None:
        norm, head, direct = self._layers["summary_norm"], self._layers["head"], self._layers.get("direct")
        members, width, hidden = head.inner.shape
        self.view(out, norm.gamma)[:], self.view(out, norm.beta)[:] = gradients[:2]
        self.view(out, head.inner)[:] = gradients[2].reshape(width, members, hidden).transpose(1, 0, 2)
        self.view(out, head.inner_bias)[:] = gradients[3].reshape(members, hidden)
        for variable, gradient in zip((head.outer, head.linear, head.outer_bias), gradients[4:7], strict=True):
            self.view(out, variable)[:] = gradient
        if direct is not None:
            for variable, gradient in zip((direct.scale, direct.shift, direct.outer), gradients[7:], strict=True):
                self.view(out, variable)[:] = gradient

    def _dense(self, vector: Floats, layer: Any) -> tuple[Floats, Floats]:
        return self.view(vector, layer.kernel), self.view(vector, layer.bias)

    def _unfold_dense(self, out: Floats, layer: Any, kernel: Floats, bias: Floats) -> None:
        self.view(out, layer.kernel)[:] = kernel
        self.view(out, layer.bias)[:] = bias

    def _behind_norm(self, vector: Floats, norm: Any, dense: Any) -> tuple[Floats, Floats]:
        """(x * gamma + beta) W + b is x (gamma W) + (beta W + b)."""
        kernel, bias = self._dense(vector, dense)
        return self.view(vector, norm.gamma)[:, None] * kernel, self.view(vector, norm.beta) @ kernel + bias

    def _unfold_behind_norm(
        self, vector: Floats, out: Floats, norm: Any, dense: Any, gradients: tuple[Floats, Floats]
    ) -> None:
        d_kernel, d_bias = gradients
        kernel = self.view(vector, dense.kernel)
        gamma, beta = self.view(vector, norm.gamma), self.view(vector, norm.beta)
        self.view(out, dense.kernel)[:] = gamma[:, None] * d_kernel + np.outer(beta, d_bias)
        self.view(out, dense.bias)[:] = d_bias
        self.view(out, norm.gamma)[:] += (kernel * d_kernel).sum(axis=1)
        self.view(out, norm.beta)[:] += kernel @ d_bias

    def _all_known(self) -> list[Any]:
        """Every variable that is folded: what is not among them would never be learnt."""
        layers, found = self._layers, []
        names = ["numbers", "months", "names", "month_names", "name_places", "month_places", "pooled", "summary_norm"]
        names += [
            "direct_bias",
            "direct_numbers",
            "direct_months",
            "direct_names",
            "direct_month_names",
            "head",
            "direct",
        ]
        names += [f"{kind}_{block}" for kind in ("encoder", "decoder") for block in range(self._blocks)]
        for name in names:
            found += layers[name].trainable_variables if name in layers else []
        return found


def _inner(attention: Any) -> tuple[Any, Any, Any]:
    return attention.query, attention.key, attention.value


def _fold_number(own: Floats, bins: int, slopes: Floats, absent: Floats) -> None:
    """Fill in (times, columns, rows, 2, D): the sum of the bins below, the bin's own slope, the kinds of missing."""
    own[..., :bins, 1, :] = slopes
    own[..., 0, 0, :] = 0
    np.cumsum(np.broadcast_to(slopes, own[..., :bins, 0, :].shape)[..., :-1, :], axis=-2, out=own[..., 1:bins, 0, :])
    own[..., bins:, 0, :] = absent
    own[..., bins:, 1, :] = 0


def _unfold_number(own: Floats, bins: int) -> tuple[Floats, Floats]:
    """Gradients of slopes and kinds of missing: a bin's slope counts in all bins above it."""
    base = own[..., :bins, 0, :]
    above: Any = np.flip(np.cumsum(np.flip(base, axis=-2), axis=-2), axis=-2) - base
    return own[..., :bins, 1, :] + above, own[..., bins:, 0, :]


def _turn(block: Chain) -> Chain:
    return tuple(np.ascontiguousarray(np.swapaxes(block[place], -1, -2)) for place in (0, 2, 4, 6))


def _stack(blocks: list[Chain]) -> Chain:
    return tuple(np.ascontiguousarray(np.stack(one), np.float32) for one in zip(*blocks, strict=True))


def make_space(folding: Folding, weights: Chain) -> Chain:
    """Return room for what one thread computes of 128 records."""
    records, steps, width, heads, direct = folding.sizes
    blocks, tokens = len(weights[0][0]), records + steps
    half = weights[0][6].shape[1]
    seen, own = weights[2][2].shape
    everything = len(weights[2][4]) + len(weights[2][7])

    def room(*shape: int) -> Floats:
        return np.zeros((*shape, PITCH), np.float32)

    def layers(count: int, of: int) -> Chain:
        first = (room(count, of, width), room(count, of), room(count, 3, of, width), room(count, heads, of, of))
        wide = (room(count, of, 2 * half), room(count, of, half))
        return (*first, room(count, of, width), room(count, of, width), room(count, of), *wide)

    decoders = blocks if steps else 0
    crossing = (room(decoders, steps, width), room(decoders, steps), room(decoders, steps, width))
    crossing = (*crossing, room(decoders, 2, records, width), room(decoders, heads, steps, records))
    decoder = (layers(decoders, steps), *crossing, room(decoders, steps, width))
    whole, held = folding.tables.start.size, folding.tables.start.size - tokens * padded(width)
    head = (room(seen), np.zeros(PITCH, np.float32), room(1, seen), room(own), room(own), room(1, everything))
    head = (*head, room(1, everything), room(1, own), room(1, seen), room(seen))
    many = max(records, steps)
    back = (room(tokens, width), room(direct), np.zeros((VECTOR, whole), np.float32), room(many, width))
    back = (*back, room(many, 2 * half), room(half), room(width), room(many, width), room(3, many, width))
    sums = np.zeros((VECTOR, whole), np.float32)
    return sums, room(tokens, width), room(held), layers(blocks, records), decoder, head, back
