"""The order of a network's weights in a bundle's file: that of the first releases, whatever the network looks like now.

They came in the order of Keras, which puts layers first that are further from the output. `depth_of` is how far they
were when the format was made.
"""

from typing import Any

import keras

_LATEST = ["card_names", "card_month_names", "card_numbers", "card_months", "trees", "head", "direct"]
_DIRECT = ["direct_numbers", "direct_months", "direct_names", "direct_month_names"]
_RECORD = ["names", "numbers", "name_places", "pooled", "encoder"]
_PAST = ["month_names", "months", "month_places", "decoder"]
_EQUAL = [*_RECORD, *_PAST, "summary_norm", *_DIRECT, "direct_bias"]


def in_stored_order(network: keras.Model) -> list[Any]:
    """Return the weights of a network of `build_network` in the order of the file."""
    layers: dict[str, Any] = {layer.name: layer for layer in network.layers if layer.weights}
    known = sorted(set(layers) - set(_LATEST), key=lambda name: (-depth_of(name, set(layers)), _rank(name), name))
    return [one for name in [*known, *_LATEST] if name in layers for one in layers[name].weights]


def depth_of(name: str, names: set[str]) -> int:
    """Return how many operations a layer was before `summary_norm`, in a network with layers of these names."""
    kind, _, block = name.partition("_") if name.startswith(("encoder_", "decoder_")) else (name, "", "0")
    blocks = sum(one.startswith("encoder_") for one in names)
    decoder = 3 + blocks - 1  # the first of them
    encoder = decoder + (blocks if "decoder_0" in names else 0)
    many_months = int({"months", "month_names"} <= names)
    mapped = [one for one in _DIRECT if one in names]
    places = {
        "summary_norm": 0,
        "direct_bias": 0,
        "encoder": encoder - int(block),
        "decoder": decoder - int(block),
        "pooled": encoder + 1,
        "numbers": encoder + 3,
        "name_places": encoder + 3,
        "names": encoder + 4,
        "month_places": decoder + 1,
        "months": decoder + 2 + many_months,
        "month_names": decoder + 3 + many_months,
    }
    # A chain of sums, the first two of which are added first; of names there is a sum of their own.
    places |= {one: len(mapped) - max(place, 1) + (len(mapped) > 1) for place, one in enumerate(mapped)}
    places |= {one: places[one] + 1 for one in mapped if "names" in one}
    if len(mapped) == 1:
        places[mapped[0]] += 1
    return places.get(kind, -1)  # a layer that first releases did not have comes behind those that they had


def _rank(name: str) -> int:
    kind = name.partition("_")[0] if name.startswith(("encoder_", "decoder_")) else name
    return _EQUAL.index(kind) if kind in _EQUAL else len(_EQUAL)
