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

from transformer.compiled.gradient.column_tables import TableFolding
from transformer.compiled.weight_layout import take_apart
from transformer.records.features import FeatureTransform

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
            id(one): (slice(end - size, end), tuple(one.shape))
            for one, end, size in zip(self.variables, ends, sizes, strict=True)
        }
        self.sizes, self._blocks = parts.sizes, len(parts.encoder[0])
        self.transform = transform
        head = self._layers["head"]
        self.members, self.branches = head.members, 1 + ("direct" in self._layers)
        self._own_tables = TableFolding(self._layers, transform, parts, self.view)
        self.tables = self._own_tables.tables
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
        place, shape = self._places[id(variable)]
        return vector[place].reshape(shape)

    def fold(self, vector: Floats) -> Chain:
        """Return the weights of encoder, decoder and head for the gradient, and fill in the tables."""
        self._own_tables.fold(vector)
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
        self._own_tables.unfold(rows, start, out)
        for block in range(self._blocks):
            mine = tuple(one[block] for one in encoder)
            self._unfold_block(vector, out, self._layers[f"encoder_{block}"], mine)
            if self.sizes[1]:
                layer = self._layers[f"decoder_{block}"]
                self._unfold_block(vector, out, layer, tuple(one[block] for one in decoder[0]))
                self._unfold_crossing(vector, out, layer, tuple(one[block] for one in decoder[1:]))
        self._unfold_head(head, out)
        return out

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


def _turn(block: Chain) -> Chain:
    return tuple(np.ascontiguousarray(np.swapaxes(block[place], -1, -2)) for place in (0, 2, 4, 6))


def _stack(blocks: list[Chain]) -> Chain:
    return tuple(np.ascontiguousarray(np.stack(one), np.float32) for one in zip(*blocks, strict=True))
