"""What the layers of a training step give: `compiled_network` with dropout, and what gradients need is kept."""

# Numba has no types, and the names of what it compiles are those of formulas.
# pyright: basic
# pyright: reportCallIssue=false

import numpy as np

from transformer.compiled.gradient.kernels import attend_keeping, drop_in, normalise_keeping, sigmoid
from transformer.compiled.kernels import LANES, PITCH, compiled, gate, gelu, set_product
from transformer.compiled.network_scorer import mean_tokens

_ZERO = np.float32(0)
# Where the hash of a dropped value is taken: each layer has a range of its own, and in it each of its four kinds.
LAYER, KIND = 1 << 20, 1 << 18
HEAD, CROSSING, DECODER = 200, 64, 32  # numbers of layers; encoders begin at 0


@compiled
def attend_forward(x, weights, space, layer, heads, causal, chance, base):
    """Attention of the tokens to themselves, added to them."""
    projection, projection_bias, joining, joining_bias = weights[:4]
    normal, spread, projected, shares, found = space[:5]
    tokens, width, _ = x.shape
    normal, spread, projected = normal[layer], spread[layer], projected[layer]
    out = np.empty((width, PITCH), np.float32)
    for t in range(tokens):
        normalise_keeping(x[t], normal[t], spread[t])
        for part in range(3):
            set_product(projection[layer, part], projection_bias[layer, part], normal[t], projected[part, t])
    attend_keeping(projected[0], projected[1], projected[2], heads, causal, chance, base, shares[layer], found[layer])
    for t in range(tokens):
        set_product(joining[layer], joining_bias[layer], found[layer, t], out)
        _add_dropped(out, chance, base + KIND + t * width, x[t])


@compiled
def _add_dropped(out, chance, place, x):
    seed, limit, scale = chance
    for d in range(x.shape[0]):
        drop_in(out[d], seed, place + d, limit, scale)
        for lane in range(LANES):
            x[d, lane] += out[d, lane]


@compiled
def cross_forward(x, record, weights, space, layer, heads, chance, base):
    """Attention of the months to the record, added to them."""
    asking, asking_bias, telling, telling_bias, joining, joining_bias = weights[1:7]
    normal, spread, query, told, shares, found = space[1:7]
    tokens, width, _ = x.shape
    out = np.empty((width, PITCH), np.float32)
    for t in range(tokens):
        normalise_keeping(x[t], normal[layer, t], spread[layer, t])
        set_product(asking[layer], asking_bias[layer], normal[layer, t], query[layer, t])
    for part in range(2):
        for m in range(record.shape[0]):
            set_product(telling[layer, part], telling_bias[layer, part], record[m], told[layer, part, m])
    attend_keeping(
        query[layer], told[layer, 0], told[layer, 1], heads, False, chance, base, shares[layer], found[layer]
    )
    for t in range(tokens):
        set_product(joining[layer], joining_bias[layer], found[layer, t], out)
        _add_dropped(out, chance, base + KIND + t * width, x[t])


@compiled
def feed_forward(x, weights, space, layer, chance, base):
    """The gated feed-forward, added to the tokens."""
    widening, widening_bias, narrowing, narrowing_bias = weights[4:8]
    normal, spread, wide, gated = space[5:9]
    seed, limit, scale = chance
    tokens, width, _ = x.shape
    half = narrowing.shape[1]
    out = np.empty((width, PITCH), np.float32)
    for t in range(tokens):
        normalise_keeping(x[t], normal[layer, t], spread[layer, t])
        set_product(widening[layer], widening_bias[layer], normal[layer, t], wide[layer, t])
        gate(wide[layer, t], gated[layer, t])
        for i in range(half):
            row = gated[layer, t, i]
            drop_in(row, seed, base + 2 * KIND + t * half + i, limit, scale)
        set_product(narrowing[layer], narrowing_bias[layer], gated[layer, t], out)
        _add_dropped(out, chance, base + 3 * KIND + t * width, x[t])


@compiled
def summarise(record, past, sizes, head, space, chance):
    """What the members read: pooled token, mean, last month and mean, normalised, and some of it dropped."""
    scale, shift = head[:2]
    found, spread, kept = space[:3]
    _, steps, width, _, _ = sizes
    seed, limit, rescale = chance
    found[:width] = record[0]
    mean_tokens(record, found[width : 2 * width])
    if steps > 0:
        found[2 * width : 3 * width] = past[steps - 1]
        mean_tokens(past, found[3 * width : 4 * width])
    normalise_keeping(found, found, spread)
    for i in range(found.shape[0]):
        for lane in range(LANES):
            kept[0, i, lane] = found[i, lane] * scale[i] + shift[i]
        drop_in(kept[0, i], seed, HEAD * LAYER + i, limit, rescale)


@compiled
def ask_members(head, space):
    """The logits of the members that read what attention found."""
    inner, inner_bias, outer, linear, bias = head[2:7]
    kept, hidden, raised, logit = space[2:6]
    members, own = outer.shape
    set_product(inner, inner_bias, kept[0], hidden)
    set_product(linear, bias, kept[0], logit[0])
    for member in range(members):
        for i in range(member * own, (member + 1) * own):
            weight = outer[member, i - member * own]
            for lane in range(LANES):
                raised[i, lane] = gelu(hidden[i, lane])
                logit[0, member, lane] += weight * raised[i, lane]


@compiled
def ask_direct_members(beside, direct, head, space, chance):
    """The logits of the direct branch's members."""
    own_scale, own_shift, own_outer = head[7:10]
    seed, limit, rescale = chance
    first = head[4].shape[0]
    step = np.empty(LANES, np.float32)
    for member in range(own_scale.shape[0]):
        out = space[5][0, first + member]
        for lane in range(LANES):
            out[lane] = _ZERO
        for i in range(direct):
            a, b, c = own_scale[member, i], own_shift[member, i], own_outer[member, i]
            for lane in range(LANES):
                step[lane] = max(a * beside[i, lane] + b, _ZERO)
            drop_in(step, seed, HEAD * LAYER + KIND + member * direct + i, limit, rescale)
            for lane in range(LANES):
                out[lane] += c * step[lane]


@compiled
def judge(head, space, target, weight, branches):
    """The loss of the records; their slopes by logit, and the mean logit of each branch."""
    members, groups = head[4].shape[0], branches.shape[1]
    logit, slope = space[5], space[6]
    total = 0.0
    for member in range(logit.shape[1]):
        for lane in range(target.shape[0]):
            z = logit[0, member, lane]
            slope[0, member, lane] = (sigmoid(z) - target[lane]) * weight[lane]
            total += weight[lane] * (max(z, _ZERO) - z * target[lane] + np.log1p(np.exp(-abs(z))))
    for group in range(groups):
        for lane in range(target.shape[0]):
            mean = _ZERO
            for member in range(group * members, (group + 1) * members):
                mean += logit[0, member, lane]
            branches[lane, group] = mean / np.float32(members)
    return total
