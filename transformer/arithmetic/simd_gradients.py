"""The steps of the compiled gradient that Numba's own loops leave slow, written for the machine's vectors."""

# Numba and llvmlite have no types.
# pyright: basic
# pyright: reportCallIssue=false

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from transformer.arithmetic.kernels import BLOCK_ROWS
from transformer.arithmetic.simd import (
    FLOATS,
    HAS_WIDE_VECTORS,
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

# Rows and columns of weights whose gradient is kept in registers, and into how many parts a vector is cut for it: with
# all 16 records at once the sums of a tile would fill AVX2's sixteen registers twice.
TILE_ROWS, TILE_COLUMNS = (4, 4) if HAS_WIDE_VECTORS else (2, 4)
PARTS = 1 if HAS_WIDE_VECTORS else 2
_PART = VECTOR // PARTS
_PART_OF_FLOATS = ir.VectorType(ir.FloatType(), _PART)
_FOUR = ir.VectorType(ir.FloatType(), TILE_COLUMNS)


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


def _make_outer_tile(rows: int) -> Any:
    """A tile of the gradient of a product's weights, `rows` by four."""

    @intrinsic
    def tile(_typing: Any, x: Any, i: Any, y: Any, j: Any, first: Any, end: Any, out: Any) -> Any:
        """out[i + a, j + b] += the sum over records and tokens first .. end - 1 of x[t, i + a] * y[t, j + b]."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            xs = Rows(context, builder, signature.args[0], arguments[0])
            ys = Rows(context, builder, signature.args[2], arguments[2])
            outs = Rows(context, builder, signature.args[6], arguments[6])
            _, i, _, j, first, end, _ = arguments
            parts = [_sum_outer(builder, (xs, i, rows), (ys, j), (first, end), part) for part in range(PARTS)]
            whole = [_joined(builder, [part[place] for part in parts]) for place in range(rows * TILE_COLUMNS)]
            whole += [ir.Constant(FLOATS, [0.0] * VECTOR)] * (VECTOR - len(whole))
            sums, start = _sum_each(builder, whole), outs.at(i, j)
            for a in range(rows):
                pointer = builder.bitcast(moved(builder, start, a, outs.strides[0]), _FOUR.as_pointer())
                before = builder.load(pointer)
                before.align = 4
                own = list(range(a * TILE_COLUMNS, (a + 1) * TILE_COLUMNS))
                order = ir.Constant(ir.VectorType(ir.IntType(32), TILE_COLUMNS), own)
                builder.store(builder.fadd(before, builder.shuffle_vector(sums, sums, order)), pointer).align = 4
            return context.get_dummy_value()

        return types.void(x, types.intp, y, types.intp, types.intp, types.intp, out), generate

    return tile


def _sum_outer(builder: Any, left: Any, right: Any, tokens: Any, part: int) -> list[Any]:
    """Return the sums of a tile for one part of all vectors, row by row."""
    (xs, i, rows), (ys, j), (first, end) = left, right, tokens
    zero, begin = ir.Constant(ir.IntType(64), 0), byte_count(part * _PART)
    vectors = ir.Constant(ir.IntType(64), BLOCK_ROWS // VECTOR)
    nothing = ir.Constant(_PART_OF_FLOATS, [0.0] * _PART)
    sums = [cgutils.alloca_once_value(builder, nothing) for _ in range(rows * TILE_COLUMNS)]
    with cgutils.for_range(builder, builder.sub(end, first)) as loop:
        token = builder.add(first, loop.index)
        x_first, y_first = xs.at(token, i, zero), ys.at(token, j, zero)
        with cgutils.for_range(builder, vectors) as inner:
            distance = builder.add(builder.mul(inner.index, byte_count(VECTOR)), begin)

            def read(base: Any, count: int, stride: Any, distance: Any = distance) -> list[Any]:
                places = [builder.gep(moved(builder, base, one, stride), [distance]) for one in range(count)]
                return [load(builder, one, _PART_OF_FLOATS) for one in places]

            xs_here, ys_here = read(x_first, rows, xs.strides[1]), read(y_first, TILE_COLUMNS, ys.strides[1])
            for a, x in enumerate(xs_here):
                for b, y in enumerate(ys_here):
                    place = sums[a * TILE_COLUMNS + b]
                    builder.store(multiply_add(builder, x, y, builder.load(place)), place)
    return [builder.load(one) for one in sums]


def _joined(builder: Any, parts: list[Any]) -> Any:
    """Return a whole vector of its parts."""
    if len(parts) == 1:
        return parts[0]
    return builder.shuffle_vector(*parts, ir.Constant(WHOLE, list(range(VECTOR))))


add_outer_tile = _make_outer_tile(TILE_ROWS)
add_outer_row = _make_outer_tile(1)


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
