"""A training step of the network as one compiled function: logits, loss and gradients of 128 records at a time.

The formulas are those of `compiled_network`, with dropout; what the gradients need is kept in `space`. Weights and
gradients have the form that `gradient_weights` gives them.
"""

# Numba has no types, and the names of what it compiles are those of formulas.
# pyright: basic
# pyright: reportCallIssue=false

import numpy as np

from transformer.compiled.gradient.backward import (
    attend_behind,
    clear_beyond,
    cross_back,
    feed_back,
    head_back,
    tokens_back,
)
from transformer.compiled.gradient.forward import (
    CROSSING,
    DECODER,
    LAYER,
    ask_direct_members,
    ask_members,
    attend_forward,
    cross_forward,
    feed_forward,
    judge,
    summarise,
)
from transformer.compiled.gradient.kernels import scramble
from transformer.compiled.kernels import LANES, compiled, padded
from transformer.compiled.network_scorer import gather_tokens, turn_tokens
from transformer.compiled.simd import VECTOR


@compiled
def learn(data, tables, weights, sizes, chance, space, gradients, blocks, branches):
    """Go through some blocks of records: return their loss, add to the gradients, fill in `branches` (N, G).

    `data` are numbers, kinds, names, what is added to every member's logit, outcomes, and the weight of each record's
    loss. `chance` is a seed, limit and scale of both rates of dropout, and whether gradients are wanted; `blocks` the
    first and the one behind the last.
    """
    beside_all, target, weight = data[3:]
    seed, limit, scale, direct_limit, direct_scale, is_learning = chance
    total = 0.0
    for block in range(blocks[0], blocks[1]):
        start, stop = block * LANES, min(block * LANES + LANES, len(target))
        own = scramble(np.uint32(np.uint32(seed) + np.uint32(block)))
        chances = (own, limit, scale), (own, direct_limit, direct_scale)
        _embed(data, tables, start, stop, sizes[2], space)
        _go_forward(weights, sizes, space, chances, beside_all[start:stop])
        total += judge(weights[2], space[5], target[start:stop], weight[start:stop], branches[start:stop])
        if is_learning:
            clear_beyond(space[5][6], stop - start)
            _go_back(weights, sizes, space, gradients, chances)
            tokens_back(data, tables, start, stop, space[6], gradients)
    return total


@compiled
def _embed(data, tables, start, stop, width, space):
    sums, x, beside = space[:3]
    for first in range(start, stop, VECTOR):
        gather_tokens(data[0], data[1], data[2], tables, first, min(first + VECTOR, stop), padded(width), sums)
        turn_tokens(sums, first - start, x, beside)


@compiled
def _go_forward(weights, sizes, space, chances, beside_all):
    encoder, decoder, head = weights
    x, beside, encoder_space, decoder_space, head_space = space[1:6]
    records, heads, chance = sizes[0], sizes[3], chances[0]
    record, past = x[:records], x[records:]
    for layer in range(encoder[0].shape[0]):
        attend_forward(record, encoder, encoder_space, layer, heads, False, chance, layer * LAYER)
        feed_forward(record, encoder, encoder_space, layer, chance, layer * LAYER)
    for layer in range(decoder[0][0].shape[0]):
        attend_forward(past, decoder[0], decoder_space[0], layer, heads, True, chance, (DECODER + layer) * LAYER)
        cross_forward(past, record, decoder, decoder_space, layer, heads, chance, (CROSSING + layer) * LAYER)
        feed_forward(past, decoder[0], decoder_space[0], layer, chance, (DECODER + layer) * LAYER)
    summarise(record, past, sizes, head, head_space, chance)
    ask_members(head, head_space)
    ask_direct_members(beside, sizes[4], head, head_space, chances[1])
    logit = head_space[5]
    for member in range(logit.shape[1]):
        for lane in range(beside_all.shape[0]):
            logit[0, member, lane] += beside[sizes[4], lane] + beside_all[lane]


@compiled
def _go_back(weights, sizes, space, gradients, chances):
    encoder, decoder, head = weights
    x, beside, encoder_space, decoder_space, head_space, back = space[1:]
    records, heads, chance, dx = sizes[0], sizes[3], chances[0], back[0]
    own, record, drecord, dpast = gradients[3], x[:records], dx[:records], dx[records:]
    head_back(dx, back[1], beside, sizes, head, head_space, gradients[4], chances)
    for layer in range(decoder[0][0].shape[0] - 1, -1, -1):
        base, crossing = (DECODER + layer) * LAYER, (CROSSING + layer) * LAYER
        feed_back(dpast, decoder[0], decoder_space[0], own[0], back, layer, chance, base)
        cross_back(dpast, drecord, record, decoder, decoder_space, own, back, layer, heads, chance, crossing)
        attend_behind(dpast, decoder[0], decoder_space[0], own[0], back, layer, heads, True, chance, base)
    for layer in range(encoder[0].shape[0] - 1, -1, -1):
        feed_back(drecord, encoder, encoder_space, gradients[2], back, layer, chance, layer * LAYER)
        attend_behind(drecord, encoder, encoder_space, gradients[2], back, layer, heads, False, chance, layer * LAYER)
