"""The steps of the compiled gradient that Numba's own loops leave slow, written for the machine's vectors."""

# Numba and llvmlite have no types.
# pyright: basic
# pyright: reportCallIssue=false

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from transformer.arithmetic.simd import (
    FLOATS,
    VECTOR,
    WHOLE,
    Rows,
    broadcast,
    byte_count,
    load,
    moved,
    multiply_add,
    store,
)

TILE = 4  # rows and columns of weights whose gradient is kept in registers
_FOUR = ir.VectorType(ir.FloatType(), TILE)


@intrinsic
def give_row(
    _typing: Any, sums: Any, row: Any, at: Any, share: Any, table: Any, place: Any, offset: Any, vectors: Any
) -> Any:
    """Add sums[row, at:] to table[place, 0, offset:], share times it to table[place, 1, offset:]: so many vectors."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source = Rows(context, builder, signature.args[0], arguments[0])
        rows = Rows(context, builder, signature.args[4], arguments[4])
        _, row, at, share, _, place, offset, vectors = arguments
        zero, one = (ir.Constant(ir.IntType(64), number) for number in (0, 1))
        base, slope, begin = rows.at(place, zero, offset), rows.at(place, one, offset), source.at(row, at)
        shares = broadcast(builder, share)
        with cgutils.for_range(builder, vectors) as loop:
            distance = builder.mul(loop.index, byte_count(VECTOR))
            value = load(builder, builder.gep(begin, [distance]))
            to_base, to_slope = builder.gep(base, [distance]), builder.gep(slope, [distance])
            store(builder, builder.fadd(load(builder, to_base), value), to_base)
            store(builder, multiply_add(builder, shares, value, load(builder, to_slope)), to_slope)
        return context.get_dummy_value()

    kinds = (sums, types.intp, types.intp, types.float32, table, types.intp, types.intp, types.intp)
    return types.void(*kinds), generate


@intrinsic
def add_outer_tile(_typing: Any, x: Any, i: Any, y: Any, j: Any, records: Any, out: Any) -> Any:
    """out[i + a, j + b] += the sum over t and records of x[t, i + a] * y[t, j + b], for a, b below 4."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        xs = Rows(context, builder, signature.args[0], arguments[0])
        ys = Rows(context, builder, signature.args[2], arguments[2])
        outs = Rows(context, builder, signature.args[5], arguments[5])
        _, i, _, j, records, _ = arguments
        zero = ir.Constant(ir.IntType(64), 0)
        nothing = ir.Constant(FLOATS, [0.0] * VECTOR)
        sums = [cgutils.alloca_once_value(builder, nothing) for _ in range(TILE * TILE)]
        with cgutils.for_range(builder, xs.shape[0]) as token:
            x_first, y_first = xs.at(token.index, i, zero), ys.at(token.index, j, zero)
            with cgutils.for_range(builder, builder.sdiv(records, ir.Constant(ir.IntType(64), VECTOR))) as loop:
                distance = builder.mul(loop.index, byte_count(VECTOR))
                left = [
                    load(builder, builder.gep(moved(builder, x_first, a, xs.strides[1]), [distance]))
                    for a in range(TILE)
                ]
                right = [
                    load(builder, builder.gep(moved(builder, y_first, b, ys.strides[1]), [distance]))
                    for b in range(TILE)
                ]
                for a in range(TILE):
                    for b in range(TILE):
                        place = sums[a * TILE + b]
                        builder.store(multiply_add(builder, left[a], right[b], builder.load(place)), place)
        joined = _sum_each(builder, [builder.load(one) for one in sums])
        first = outs.at(i, j)
        for a in range(TILE):
            address = moved(builder, first, a, outs.strides[0])
            four = builder.shuffle_vector(
                joined, joined, ir.Constant(ir.VectorType(ir.IntType(32), TILE), list(range(a * TILE, (a + 1) * TILE)))
            )
            pointer = builder.bitcast(address, _FOUR.as_pointer())
            before = builder.load(pointer)
            before.align = 4
            builder.store(builder.fadd(before, four), pointer).align = 4
        return context.get_dummy_value()

    return types.void(x, types.intp, y, types.intp, types.intp, out), generate


def _make_sum(*, of_products: bool) -> Any:
    """The sum over records of x, or of x * y: rows whose records are a multiple of 16."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        zero = ir.Constant(ir.IntType(64), 0)
        count = 2 if of_products else 1
        rows = [Rows(context, builder, signature.args[i], arguments[i]).at(zero) for i in range(count)]
        total = cgutils.alloca_once_value(builder, ir.Constant(FLOATS, [0.0] * VECTOR))
        with cgutils.for_range(builder, builder.sdiv(arguments[count], ir.Constant(ir.IntType(64), VECTOR))) as loop:
            distance = builder.mul(loop.index, byte_count(VECTOR))
            values = [load(builder, builder.gep(row, [distance])) for row in rows]
            so_far = builder.load(total)
            more = multiply_add(builder, *values, so_far) if of_products else builder.fadd(values[0], so_far)
            builder.store(more, total)
        joined, distance = builder.load(total), VECTOR // 2
        while distance:
            order = [(record + distance) % VECTOR for record in range(VECTOR)]
            joined = builder.fadd(joined, builder.shuffle_vector(joined, joined, ir.Constant(WHOLE, order)))
            distance //= 2
        return builder.extract_element(joined, ir.Constant(ir.IntType(32), 0))

    return generate


@intrinsic
def sum_of_products(_typing: Any, x: Any, y: Any, records: Any) -> Any:
    """The sum over records of x * y."""
    return types.float32(x, y, types.intp), _make_sum(of_products=True)


@intrinsic
def sum_of_records(_typing: Any, x: Any, records: Any) -> Any:
    """The sum over records of x."""
    return types.float32(x, types.intp), _make_sum(of_products=False)


def _sum_each(builder: Any, vectors: list[Any]) -> Any:
    """Return the sums of 16 vectors as one vector, that of vector i in record i: halves are added pair by pair."""
    distance = VECTOR // 2
    while len(vectors) > 1:
        half = len(vectors) // 2
        vectors = [_add_halves(builder, vectors[i], vectors[i + half], distance) for i in range(half)]
        distance //= 2
    return vectors[0]


def _add_halves(builder: Any, one: Any, other: Any, distance: int) -> Any:
    """Lanes with the bit of `distance` hold what is left of `other`, the others what is left of `one`."""
    straight = [record if not record & distance else VECTOR + record for record in range(VECTOR)]
    crossed = [record + distance if not record & distance else VECTOR + record - distance for record in range(VECTOR)]
    kept = builder.shuffle_vector(one, other, ir.Constant(WHOLE, straight))
    added = builder.shuffle_vector(one, other, ir.Constant(WHOLE, crossed))
    return builder.fadd(kept, added)
