"""The tables of the compiled gradient: bins as rows, filled in from the weights, and gradients taken back."""

# Keras knows the weights of its layers only once they are built.
# pyright: basic

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transformer.compiled.kernels import padded
from transformer.compiled.weight_layout import Parts
from transformer.records.features import FeatureTransform

Floats = NDArray[np.float32]
View = Callable[[Floats, Any], Floats]  # from a vector of all weights and a variable to that variable's part


class TableFolding:
    """The tables with the scorecard's part as it is, and places for all that is learnt."""

    def __init__(self, layers: dict[str, Any], transform: FeatureTransform, parts: Parts, view: View) -> None:
        self._layers, self._view = layers, view
        self._records, self._steps, self._width, _, self._direct = parts.sizes
        self._token_size = padded(self._width)
        self.tables = parts.tables._replace(rows=parts.tables.rows.copy(), start=parts.tables.start.copy())
        fields, histories = transform.schema.fields, transform.schema.histories
        self._numbers, self._pasts = (sum(one.kind == "numeric" for one in group) for group in (fields, histories))
        past_rows = self._steps * self._pasts * self._rows_of("months")
        name_rows = sum(layers["names"].sizes) if "names" in layers else 0
        ends = np.cumsum([self._numbers * self._rows_of("numbers"), past_rows, name_rows])
        ends = [0, *ends.tolist(), len(self.tables.rows)]
        self._regions = [slice(*pair) for pair in pairwise(ends)]

    def fold(self, vector: Floats) -> None:
        """Fill in the tables from the vector of all weights."""
        rows, size, direct = self.tables.rows, self._token_size, self._direct
        width = self._width
        for region, (times, columns), name, direct_name in self._each_number():
            layer = self._layers[name]
            bins = layer.bins
            own = rows[region].reshape(times, columns, bins + layer.kinds, 2, -1)
            _fold_number(own[..., :width], bins, self._view(vector, layer.slopes), self._view(vector, layer.absent))
            if direct:
                beside = self._layers[direct_name]
                shape = (times, columns)
                slopes = self._view(vector, beside.slopes).reshape(*shape, bins, direct)
                absent = self._view(vector, beside.absent).reshape(*shape, layer.kinds, direct)
                _fold_number(own[..., size : size + direct], bins, slopes, absent)
        for region, (times, _), name, direct_name in self._each_name():
            own = rows[region].reshape(times, -1, 2, rows.shape[2])
            own[:, :, 0, :width] = self._view(vector, self._layers[name].table)
            if direct:
                table = self._view(vector, self._layers[direct_name].table)
                own[:, :, 0, size : size + direct] = table.reshape(times, -1, direct)
        self._fold_start(vector)

    def unfold(self, rows: Floats, start: Floats, out: Floats) -> None:
        """Write the gradients of what the tables are made of into a vector, from those of rows and start."""
        size, direct, width = self._token_size, self._direct, self._width
        for region, (times, columns), name, direct_name in self._each_number():
            layer = self._layers[name]
            bins = layer.bins
            own = rows[region].reshape(times, columns, bins + layer.kinds, 2, -1)
            slopes, absent = _unfold_number(own[..., :width], bins)
            self._view(out, layer.slopes)[:] = slopes.sum(axis=0)
            self._view(out, layer.absent)[:] = absent.sum(axis=0)
            if direct:
                slopes, absent = _unfold_number(own[..., size : size + direct], bins)
                beside = self._layers[direct_name]
                self._view(out, beside.slopes)[:] = slopes.reshape(tuple(beside.slopes.shape))
                self._view(out, beside.absent)[:] = absent.reshape(tuple(beside.absent.shape))
        for region, (times, _), name, direct_name in self._each_name():
            own = rows[region].reshape(times, -1, 2, rows.shape[2])
            self._view(out, self._layers[name].table)[:] = own[:, :, 0, :width].sum(axis=0)
            if direct:
                table = self._layers[direct_name].table
                self._view(out, table)[:] = own[:, :, 0, size : size + direct].reshape(tuple(table.shape))
        self._unfold_start(start, out)

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

    def _fold_start(self, vector: Floats) -> None:
        start, width, direct = self.tables.start, self._width, self._direct
        tokens = self._records + self._steps
        places = start[: tokens * self._token_size].reshape(tokens, -1)
        places[:, :width] = 0
        places[0, :width] = self._view(vector, self._layers["pooled"].token).reshape(-1)
        if self._numbers:
            np.add.at(places[:, :width], self._tokens_of_numbers(), self._view(vector, self._layers["numbers"].bias))
        if "name_places" in self._layers:
            vectors = self._view(vector, self._layers["name_places"].vectors)
            places[self._records - len(vectors) : self._records, :width] += vectors
        if self._steps:
            places[self._records :, :width] += self._view(vector, self._layers["month_places"].vectors)
        if direct:
            beside = start[tokens * self._token_size :]
            beside[:direct] = self._view(vector, self._layers["direct_bias"].vectors).reshape(-1)

    def _tokens_of_numbers(self) -> NDArray[np.int64]:
        groups = min(self._numbers, self._layers["numbers"].tokens)
        return 1 + np.arange(self._numbers) * groups // self._numbers

    def _unfold_start(self, start: Floats, out: Floats) -> None:
        width, direct = self._width, self._direct
        tokens = self._records + self._steps
        places = start[: tokens * self._token_size].reshape(tokens, -1)[:, :width]
        self._view(out, self._layers["pooled"].token)[:] = places[0]
        if self._numbers:
            self._view(out, self._layers["numbers"].bias)[:] = places[self._tokens_of_numbers()]
        if "name_places" in self._layers:
            vectors = self._layers["name_places"].vectors
            self._view(out, vectors)[:] = places[self._records - vectors.shape[0] : self._records]
        if self._steps:
            self._view(out, self._layers["month_places"].vectors)[:] = places[self._records :]
        if direct:
            beside = start[tokens * self._token_size :]
            self._view(out, self._layers["direct_bias"].vectors)[:] = beside[:direct]

    def _rows_of(self, name: str) -> int:
        """How many rows a number of this layer has: its bins, then its kinds of missing."""
        return self._layers[name].bins + self._layers[name].kinds if name in self._layers else 0


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
