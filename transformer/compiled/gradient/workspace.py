"""Room for what a thread computes of 128 records in a training step."""

# Keras knows the weights of its layers only once they are built.
# pyright: basic

import numpy as np
from numpy.typing import NDArray

from transformer.compiled.gradient.weight_folding import Chain, Folding
from transformer.compiled.kernels import PITCH, padded
from transformer.compiled.simd import VECTOR

Floats = NDArray[np.float32]


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
