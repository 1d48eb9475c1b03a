"""The ways to a record's logit and what each counts for: attention, the direct way, the scorecard, and the trees.

logit = a * attention + d * direct + s * scorecard + t * trees, a + d + s + t = 1, chosen on rows that none of the four
has learnt from, and written into the network's weights: scoring is one network.
"""

from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from transformer.branches.scorecard import Scorecard
from transformer.network.architecture import NetworkOptions, build_network
from transformer.network.tree_layer import Trees
from transformer.records.features import FeatureTransform

STEPS = 5  # shares are tried in fifths
ROUNDING = 1e-9  # of a log loss

Floats = NDArray[np.float64]
Ways = dict[str, Floats]  # logits (N) by the name of the way, of those that there are


@dataclass(frozen=True)
class Mixture:
    """What each way through the network counts for in the logit; they add up to one."""

    attention: float
    direct: float
    scorecard: float
    trees: float = 0.0

    def join(self, ways: Ways) -> Floats:
        """Return the logits (N)."""
        shares = asdict(self)
        return np.sum([shares[name] * logits for name, logits in ways.items()], axis=0)


def ways_of(looks: Floats, apart: Ways) -> Ways:
    """Return the ways of the network's own logits (N, G), attention first, and of what was fitted apart from it."""
    return {name: looks[:, way] for way, name in enumerate(("attention", "direct")[: looks.shape[1]])} | apart


def all_shares(ways: int) -> Floats:
    """Return the shares that are tried, (M, ways), in steps of a fifth.

    >>> all_shares(2)[:, 0].tolist()
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    bars = np.array(list(combinations(range(STEPS + ways - 1), ways - 1)), dtype=np.int64)
    ends = np.full((len(bars), 1), STEPS + ways - 1)
    return (
        np.diff(np.concatenate([-np.ones_like(ends), bars.reshape(len(bars), -1), ends], axis=1), axis=1) - 1
    ) / STEPS


def choose_mixture(ways: Ways, target: Floats) -> Mixture:
    """Return the mean of the mixtures that no other beats, on rows that none of their parts has learnt from.

    A mixture is beaten by the one with the least log loss where its loss is larger by more than a standard error of
    the difference. On few rows many are not, and their mean is steadier than the luckiest of them.
    """
    shares = all_shares(len(ways))
    losses = np.logaddexp(0, np.where(target == 1, -1.0, 1.0) * (shares @ np.stack(list(ways.values()))))
    behind = losses - losses[np.argmin(losses.mean(axis=1))]
    is_near = behind.mean(axis=1) <= behind.std(axis=1) / np.sqrt(len(target)) + ROUNDING
    chosen = dict(zip(ways, shares[is_near].mean(axis=0).tolist(), strict=True))
    return replace(Mixture(0.0, 0.0, 0.0), **chosen)


def mix(network: keras.Model, mixture: Mixture, scorecard: Scorecard) -> None:
    """Write the scorecard and the shares into the network, whose logit is the mean over all members."""
    head: Any = network.get_layer("head")
    direct: list[Any] = [layer for layer in network.layers if layer.name == "direct"]
    ways = 1 + len(direct)
    for variable in (head.outer, head.outer_bias, head.linear):
        variable.assign(ways * mixture.attention * variable)
    for layer in direct:
        layer.outer.assign(ways * mixture.direct * layer.outer)
    head.outer_bias.assign(head.outer_bias + ways * mixture.scorecard * scorecard.intercept)
    start = 0
    for name in ("card_numbers", "card_months", "card_names", "card_month_names"):
        for variable in _weights_of(network, name):
            count = int(np.prod(variable.shape))
            values = mixture.scorecard * scorecard.weights[start : start + count]
            variable.assign(values.reshape(variable.shape).astype(np.float32))
            start += count


def plant(
    network: keras.Model, transform: FeatureTransform, options: NetworkOptions, trees: Trees, share: float
) -> tuple[keras.Model, NetworkOptions]:
    """Return the network with trees beside its other ways, which count for `share`, and its sizes."""
    larger = replace(options, trees=len(trees))
    planted = build_network(transform, larger)
    copy_ways(network, planted)
    layer: Any = planted.get_layer("trees")
    layer.set_trees(trees, share)
    head: Any = planted.get_layer("head")
    ways = 1 + any(one.name == "direct" for one in planted.layers)
    head.outer_bias.assign(head.outer_bias + ways * share * trees.intercept)
    return planted, larger


def copy_ways(source: keras.Model, target: keras.Model, *, is_trained_again: bool = False) -> None:
    """Copy all weights but the trees'; for training without the scorecard's, which is fitted anew."""
    apart = ("trees", "card_") if is_trained_again else ("trees",)
    for layer in target.layers:
        if not layer.name.startswith(apart):
            layer.set_weights(source.get_layer(layer.name).get_weights())


def _weights_of(network: keras.Model, name: str) -> list[Any]:
    layers: list[Any] = [layer for layer in network.layers if layer.name == name]
    return [variable for layer in layers for variable in layer.weights]
