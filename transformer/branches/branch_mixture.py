"""The branches of a network and what each counts for: attention, the direct branch, the scorecard, and the trees.

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
from transformer.network.layers.oblivious_trees import ObliviousTrees
from transformer.records.features import FeatureTransform

STEPS = 5  # shares are tried in fifths
ROUNDING = 1e-9  # of a log loss

Floats = NDArray[np.float64]
Branches = dict[str, Floats]  # logits (N) by the name of the branch, of those that there are


@dataclass(frozen=True)
class Mixture:
    """What each branch through the network counts for in the logit; they add up to one."""

    attention: float
    direct: float
    scorecard: float
    trees: float = 0.0

    def join(self, branches: Branches) -> Floats:
        """Return the logits (N)."""
        shares = asdict(self)
        return np.sum([shares[name] * logits for name, logits in branches.items()], axis=0)


def branches_of(looks: Floats, side: Branches) -> Branches:
    """Return the branches of the network's own logits (N, G), attention first, and of what was fitted apart from it."""
    return {name: looks[:, branch] for branch, name in enumerate(("attention", "direct")[: looks.shape[1]])} | side


def all_shares(branches: int) -> Floats:
    """Return the shares that are tried, (M, branches), in steps of a fifth.

    >>> all_shares(2)[:, 0].tolist()
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    bars = np.array(list(combinations(range(STEPS + branches - 1), branches - 1)), dtype=np.int64)
    ends = np.full((len(bars), 1), STEPS + branches - 1)
    return (
        np.diff(np.concatenate([-np.ones_like(ends), bars.reshape(len(bars), -1), ends], axis=1), axis=1) - 1
    ) / STEPS


def choose_mixture(branches: Branches, target: Floats) -> Mixture:
    """Return the mean of the mixtures that no other beats, on rows that none of their parts has learnt from.

    A mixture is beaten by the one with the least log loss where its loss is larger by more than a standard error of
    the difference. On few rows many are not, and their mean is steadier than the luckiest of them.
    """
    shares = all_shares(len(branches))
    is_near = find_unbeaten(shares @ np.stack(list(branches.values())), target)
    chosen = dict(zip(branches, shares[is_near].mean(axis=0).tolist(), strict=True))
    return replace(Mixture(0.0, 0.0, 0.0), **chosen)


def find_unbeaten(logits: Floats, target: Floats) -> NDArray[np.bool_]:
    """Return which rows of logits (M, N) the best one beats by no more than a standard error of the log loss."""
    losses = np.logaddexp(0, np.where(target == 1, -1.0, 1.0) * logits)
    behind = losses - losses[np.argmin(losses.mean(axis=1))]
    return behind.mean(axis=1) <= behind.std(axis=1) / np.sqrt(len(target)) + ROUNDING


def mix(network: keras.Model, mixture: Mixture, scorecard: Scorecard) -> None:
    """Write the scorecard and the shares into the network, whose logit is the mean over all members."""
    head: Any = network.get_layer("head")
    direct: list[Any] = [layer for layer in network.layers if layer.name == "direct"]
    branches = 1 + len(direct)
    for variable in (head.outer, head.outer_bias, head.linear):
        variable.assign(branches * mixture.attention * variable)
    for layer in direct:
        layer.outer.assign(branches * mixture.direct * layer.outer)
    head.outer_bias.assign(head.outer_bias + branches * mixture.scorecard * scorecard.intercept)
    start = 0
    for name in ("card_numbers", "card_months", "card_names", "card_month_names"):
        for variable in _weights_of(network, name):
            count = int(np.prod(variable.shape))
            values = mixture.scorecard * scorecard.weights[start : start + count]
            variable.assign(values.reshape(variable.shape).astype(np.float32))
            start += count


def plant(
    network: keras.Model, transform: FeatureTransform, options: NetworkOptions, trees: ObliviousTrees, share: float
) -> tuple[keras.Model, NetworkOptions]:
    """Return the network with trees beside its other branches, which count for `share`, and its sizes."""
    larger = replace(options, trees=0, oblivious=len(trees), combinations=len(trees.names.together))
    planted = build_network(transform, larger)
    copy_branches(network, planted)
    layer: Any = planted.get_layer("trees")
    layer.set_trees(trees, share)
    head: Any = planted.get_layer("head")
    branches = 1 + any(one.name == "direct" for one in planted.layers)
    head.outer_bias.assign(head.outer_bias + branches * share * trees.intercept)
    return planted, larger


def copy_branches(source: keras.Model, target: keras.Model, *, is_trained_again: bool = False) -> None:
    """Copy all weights but the trees'; for training without the scorecard's, which is fitted anew."""
    left_out = ("trees", "card_") if is_trained_again else ("trees",)
    for layer in target.layers:
        if not layer.name.startswith(left_out):
            layer.set_weights(source.get_layer(layer.name).get_weights())


def _weights_of(network: keras.Model, name: str) -> list[Any]:
    layers: list[Any] = [layer for layer in network.layers if layer.name == name]
    return [variable for layer in layers for variable in layer.weights]
