"""The gradients behind the layers of a training step, from the members' logits back to the tables of the columns."""

# Numba has no types, and the names of what it compiles are those of formulas.
# pyright: basic
# pyright: reportCallIssue=false

import numpy as np

from transformer.compiled.gradient.forward import HEAD, KIND, LAYER
from transformer.compiled.gradient.kernels import (
    add_outer,
    add_sums,
    attend_back,
    clear,
    dot_lanes,
    drop,
    drop_in,
    gelu_slope,
    normal_share,
    normalise_back,
)
from transformer.compiled.gradient.simd import give_row
from transformer.compiled.kernels import LANES, add_product, compiled, find_bin, padded, set_product, turn_all
from transformer.compiled.simd import VECTOR

_ZERO = np.float32(0)
_ONE = np.float32(1)


@compiled
def clear_beyond(slope, count):
    """No slope where there is no record."""
    for member in range(slope.shape[1]):
        for lane in range(count, LANES):
            slope[0, member, lane] = _ZERO


@compiled
def head_back(dx, dbeside, beside, sizes, head, space, gradients, chances):
    """Gradients of all members, and of the tokens and the direct branch that they read."""
    records, steps, width, _, direct = sizes
    found, spread = space[:2]
    slope, d_kept, d_found = space[6], space[8], space[9]
    members = head[4].shape[0]
    _members_back(head, space, gradients, chances[0])
    for i in range(found.shape[0]):
        for lane in range(LANES):
            d_kept[0, i, lane] *= head[0][i]
            d_found[i, lane] = _ZERO
    normalise_back(d_kept[0], found, spread, d_found)
    _spread_out(dx[:records], d_found[:width], d_found[width : 2 * width], 0)
    if steps > 0:
        _spread_out(dx[records:], d_found[2 * width : 3 * width], d_found[3 * width : 4 * width], steps - 1)
    _direct_back(dbeside, beside, direct, head, slope[0, members:], gradients, chances[1])


@compiled
def _members_back(head, space, gradients, chance):
    """Gradients of the members and of scale and shift before them; `d_kept` is that of what was scaled and shifted."""
    outer, turned_inner, turned_linear, nothing = head[4], head[10], head[11], head[12]
    d_scale, d_shift, d_inner, d_inner_bias, d_outer, d_linear, d_bias = gradients[:7]
    found, _, kept, hidden, raised, _, slope, d_hidden, d_kept, _ = space
    seed, limit, rescale = chance
    members, own = outer.shape
    for member in range(members):
        for i in range(member * own, (member + 1) * own):
            weight = outer[member, i - member * own]
            d_outer[member, i - member * own] += dot_lanes(raised[i], slope[0, member])
            for lane in range(LANES):
                z = hidden[i, lane]
                d_hidden[0, i, lane] = weight * slope[0, member, lane] * gelu_slope(z, normal_share(z))
    add_outer(kept, d_hidden, d_inner)
    add_sums(d_hidden, d_inner_bias)
    add_outer(kept, slope[:, :members], d_linear)
    add_sums(slope[:, :members], d_bias)
    set_product(turned_inner, nothing, d_hidden[0], d_kept[0])
    add_product(turned_linear, nothing, slope[0, :members], d_kept[0])
    for i in range(found.shape[0]):
        drop_in(d_kept[0, i], seed, HEAD * LAYER + i, limit, rescale)
        d_scale[i] += dot_lanes(d_kept[0, i], found[i])
    add_sums(d_kept, d_shift)


@compiled
def _spread_out(dx, one, mean, place):
    share = _ONE / np.float32(dx.shape[0])
    for t in range(dx.shape[0]):
        for d in range(dx.shape[1]):
            for lane in range(LANES):
                dx[t, d, lane] = mean[d, lane] * share
    for d in range(dx.shape[1]):
        for lane in range(LANES):
            dx[place, d, lane] += one[d, lane]


@compiled
def _direct_back(dbeside, beside, direct, head, slope, gradients, chance):
    own_scale, own_shift, own_outer = head[7:10]
    d_scale, d_shift, d_outer = gradients[7:10]
    seed, limit, rescale = chance
    step = np.empty(LANES, np.float32)
    back = np.empty((1, 1, LANES), np.float32)
    for i in range(dbeside.shape[0]):
        for lane in range(LANES):
            dbeside[i, lane] = _ZERO
    for member in range(own_scale.shape[0]):
        for i in range(direct):
            a, b, c = own_scale[member, i], own_shift[member, i], own_outer[member, i]
            place = HEAD * LAYER + KIND + member * direct + i
            for lane in range(LANES):
                raised, through = a * beside[i, lane] + b, c * slope[member, lane]
                step[lane] = max(raised, _ZERO)
                back[0, 0, lane] = through if raised > _ZERO else _ZERO
            drop_in(step, seed, place, limit, rescale)
            drop_in(back[0, 0], seed, place, limit, rescale)
            d_outer[member, i] += dot_lanes(step, slope[member])
            d_scale[member, i] += dot_lanes(back[0, 0], beside[i])
            add_sums(back, d_shift[member, i : i + 1])
            for lane in range(LANES):
                dbeside[i, lane] += a * back[0, 0, lane]


@compiled
def feed_back(dx, weights, space, gradients, back, layer, chance, base):
    """Gradients of `feed_forward`."""
    turned_widening, turned_narrowing, nothing = weights[10:13]
    normal, spread, wide, gated = space[5:9]
    seed, limit, scale = chance
    tokens, width, _ = dx.shape
    half = gated.shape[2]
    d_out, d_wide, d_gated, d_normal = back[3][:tokens], back[4][:tokens], back[5], back[6]
    _drop_all(dx, chance, base + 3 * KIND, d_out)
    add_outer(gated[layer], d_out, gradients[6][layer])
    add_sums(d_out, gradients[7][layer])
    for t in range(tokens):
        set_product(turned_narrowing[layer], nothing[:half], d_out[t], d_gated)
        for i in range(half):
            drop_in(d_gated[i], seed, base + 2 * KIND + t * half + i, limit, scale)
            for lane in range(LANES):
                z = wide[layer, t, i, lane]
                below = normal_share(z)
                d_wide[t, half + i, lane] = d_gated[i, lane] * z * below
                d_wide[t, i, lane] = d_gated[i, lane] * wide[layer, t, half + i, lane] * gelu_slope(z, below)
    add_outer(normal[layer], d_wide, gradients[4][layer])
    add_sums(d_wide, gradients[5][layer])
    for t in range(tokens):
        set_product(turned_widening[layer], nothing[:width], d_wide[t], d_normal)
        normalise_back(d_normal, normal[layer, t], spread[layer, t], dx[t])


@compiled
def _drop_all(dx, chance, place, out):
    seed, limit, scale = chance
    for t in range(dx.shape[0]):
        for d in range(dx.shape[1]):
            drop(dx[t, d], seed, place + t * dx.shape[1] + d, limit, scale, out[t, d])


@compiled
def attend_behind(dx, weights, space, gradients, back, layer, heads, causal, chance, base):
    """Gradients of `attend_forward`."""
    turned_projection, turned_joining = weights[8:10]
    nothing = weights[12]
    normal, spread, projected, shares, found = space[:5]
    tokens, width, _ = dx.shape
    # Each with its lanes in one piece, which a part of the whole array would not have.
    d_query, d_key, d_value = back[8][0][:tokens], back[8][1][:tokens], back[8][2][:tokens]
    d_out, d_found, d_normal = back[3][:tokens], back[7][:tokens], back[6]
    _drop_all(dx, chance, base + KIND, d_out)
    add_outer(found[layer], d_out, gradients[2][layer])
    add_sums(d_out, gradients[3][layer])
    for t in range(tokens):
        set_product(turned_joining[layer], nothing[:width], d_out[t], d_found[t])
    for part in (d_query, d_key, d_value):
        clear(part)
    mine = projected[layer]
    attend_back(
        d_found, mine[0], mine[1], mine[2], heads, causal, chance, base, shares[layer],
        d_query, d_key, d_value,
    )  # fmt: skip
    for part, slope in enumerate((d_query, d_key, d_value)):
        add_outer(normal[layer], slope, gradients[0][layer, part])
        add_sums(slope, gradients[1][layer, part])
    for t in range(tokens):
        set_product(turned_projection[layer, 0], nothing[:width], d_query[t], d_normal)
        add_product(turned_projection[layer, 1], nothing[:width], d_key[t], d_normal)
        add_product(turned_projection[layer, 2], nothing[:width], d_value[t], d_normal)
        normalise_back(d_normal, normal[layer, t], spread[layer, t], dx[t])


@compiled
def cross_back(dx, drecord, record, weights, space, gradients, back, layer, heads, chance, base):
    """Gradients of `cross_forward`."""
    turned_asking, turned_telling, turned_joining = weights[7:10]
    nothing = weights[0][12]
    normal, spread, query, told, shares, found = space[1:7]
    d_asking, d_asking_bias, d_telling, d_telling_bias, d_joining, d_joining_bias = gradients[1:7]
    tokens, width, _ = dx.shape
    many = record.shape[0]
    d_out, d_found, d_normal = back[3][:tokens], back[7][:tokens], back[6]
    d_query, d_key, d_value = back[8][0][:tokens], back[8][1][:many], back[8][2][:many]
    _drop_all(dx, chance, base + KIND, d_out)
    add_outer(found[layer], d_out, d_joining[layer])
    add_sums(d_out, d_joining_bias[layer])
    for t in range(tokens):
        set_product(turned_joining[layer], nothing[:width], d_out[t], d_found[t])
    for part in (d_query, d_key, d_value):
        clear(part)
    attend_back(
        d_found, query[layer], told[layer, 0], told[layer, 1], heads, False, chance, base, shares[layer],
        d_query, d_key, d_value,
    )  # fmt: skip
    add_outer(normal[layer], d_query, d_asking[layer])
    add_sums(d_query, d_asking_bias[layer])
    for t in range(tokens):
        set_product(turned_asking[layer], nothing[:width], d_query[t], d_normal)
        normalise_back(d_normal, normal[layer, t], spread[layer, t], dx[t])
    for part, slope in enumerate((d_key, d_value)):
        add_outer(record, slope, d_telling[layer, part])
        add_sums(slope, d_telling_bias[layer, part])
        for m in range(many):
            add_product(turned_telling[layer, part], nothing[:width], slope[m], drecord[m])


@compiled
def tokens_back(data, tables, start, stop, back, gradients):
    """Gradients of the tables and of what stands there before any column."""
    dx, dbeside, sums = back[:3]
    d_start = gradients[1]
    tokens, width, _ = dx.shape
    size = padded(width)
    held = tokens * size
    for t in range(tokens):
        add_sums(dx[t : t + 1], d_start[t * size : t * size + width])
    add_sums(dbeside.reshape((1, dbeside.shape[0], dbeside.shape[1])), d_start[held : held + dbeside.shape[0]])
    for lane in range(0, stop - start, VECTOR):
        for t in range(tokens):
            turn_all(dx[t, :, lane : lane + VECTOR], sums[:, t * size : t * size + width])
        turn_all(dbeside[:, lane : lane + VECTOR], sums[:, held : held + dbeside.shape[0]])
        first = start + lane
        _rows_back(data, tables, first, min(first + VECTOR, stop), sums, gradients[0], size, held)


@compiled
def _rows_back(data, tables, start, stop, sums, d_rows, size, held):
    numbers, kinds, names = data[:3]
    _, first, token, bins, _ = tables
    columns = numbers.shape[1]
    vectors, beside_vectors = size // VECTOR, (d_rows.shape[2] - size) // VECTOR
    for row in range(start, stop):
        i = row - start
        for column in range(columns):
            place, share = find_bin(numbers[row, column], int(kinds[row, column]), bins)
            place += first[column]
            give_row(sums, i, token[column], share, d_rows, place, 0, vectors)
            give_row(sums, i, held, share, d_rows, place, size, beside_vectors)
        for column in range(names.shape[1]):
            place = first[columns + column] + names[row, column]
            give_row(sums, i, token[columns + column], _ZERO, d_rows, place, 0, vectors)
            give_row(sums, i, held, _ZERO, d_rows, place, size, beside_vectors)
