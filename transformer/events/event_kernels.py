"""The parts of a network of events that are as long as a record has events, compiled with Numba."""

# Numba has no types.
# pyright: basic

import numpy as np
from numba import njit

from transformer.arithmetic.kernels import exponential

compiled = njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract", "arcp", "nsz"})


@compiled
def embed(numbers, names, lower, inverse, below, spans, table, bias, out):
    """Fill in the start (T, W) of each token: the sum of what its numbers and names weigh.

    A number weighs all spans below it (`below`), and a part of the span that it lies in.
    """
    width = len(bias)
    last = lower.shape[1]
    for token in range(len(out)):
        row = out[token]
        row[:] = bias
        for number in range(numbers.shape[1]):
            value = numbers[token, number]
            if np.isnan(value):
                for one in range(width):
                    row[one] += spans[number, last, one]
                continue
            place = 0
            while place + 1 < last and inverse[number, place + 1] > 0 and value >= lower[number, place + 1]:
                place += 1
            share = (value - lower[number, place]) * inverse[number, place]
            share = min(max(share, np.float32(0)), np.float32(1))
            for one in range(width):
                row[one] += below[number, place, one] + share * spans[number, place, one]
        for name in names[token]:
            for one in range(width):
                row[one] += table[name, one]


@compiled
def attend(starts, projected, heads, out):
    """Fill in what each token (T, W) sees of itself and of the tokens before it, of its record alone.

    `projected` (T, 3 W) are queries, keys and values. Keys and values of a record are turned, so that loops run over
    its tokens.
    """
    width = out.shape[1]
    size = width // heads
    scale = np.float32(1 / np.sqrt(size))
    longest = 0
    for record in range(len(starts) - 1):
        longest = max(longest, starts[record + 1] - starts[record])
    weight, turned = np.empty(longest, np.float32), np.empty((2 * width, longest), np.float32)
    for record in range(len(starts) - 1):
        first, count = starts[record], starts[record + 1] - starts[record]
        for token in range(count):
            for one in range(2 * width):
                turned[one, token] = projected[first + token, width + one]
        for token in range(count):
            for head in range(heads):
                _attend_one(
                    projected[first + token], turned, weight[: token + 1], head * size, size, scale, out[first + token]
                )


@compiled
def _attend_one(query, turned, weight, low, size, scale, out):
    width = len(out)
    weight[:] = 0
    for one in range(low, low + size):
        own = query[one] * scale
        row = turned[one]
        for other in range(len(weight)):
            weight[other] += own * row[other]
    most = weight[0]
    for other in range(len(weight)):
        most = max(most, weight[other])
    total = np.float32(0)
    for other in range(len(weight)):
        weight[other] = exponential(weight[other] - most)
        total += weight[other]
    for one in range(low, low + size):
        row = turned[width + one]
        seen = np.float32(0)
        for other in range(len(weight)):
            seen += weight[other] * row[other]
        out[one] = seen / total


@compiled
def pool(starts, hidden, scores, pooled, gate_scale, out):
    """Fill in the poolings of each record's tokens (N, P W): last, mean, largest, by attention, by sums of gates."""
    width = hidden.shape[1]
    out[:] = 0
    for record in range(len(starts) - 1):
        first, end = starts[record], starts[record + 1]
        if end == first:
            continue
        row = out[record]
        row[:width] = hidden[end - 1]
        row[2 * width : 3 * width] = hidden[first]
        for token in range(first, end):
            for one in range(width):
                row[width + one] += hidden[token, one]
                row[2 * width + one] = max(row[2 * width + one], hidden[token, one])
        row[width : 2 * width] /= np.float32(end - first)
        for score in range(scores.shape[1]):
            place = (3 + score) * width
            most, total = np.float32(-np.inf), np.float32(0)
            for token in range(first, end):
                most = max(most, scores[token, score])
            for token in range(first, end):
                if score < pooled:
                    share = exponential(scores[token, score] - most)
                    total += share
                else:
                    share = np.float32(1) / (np.float32(1) + exponential(-scores[token, score]))
                for one in range(width):
                    row[place + one] += share * hidden[token, one]
            row[place : place + width] /= total if score < pooled else gate_scale
