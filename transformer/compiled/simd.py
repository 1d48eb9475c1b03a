"""The steps of the compiled network that Numba's own loops leave slow, written for the machine's vectors.

A vector here is 16 float32; LLVM maps it to one register or to several. Each result is one chain of fused
multiply-adds in the order of the rows, whatever the processor's vectors and the tile: the same bits everywhere.
"""

# Numba and llvmlite have no types.
# pyright: basic

from collections.abc import Callable
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

VECTOR = 16
FLOATS, WHOLE = ir.VectorType(ir.FloatType(), VECTOR), ir.VectorType(ir.IntType(32), VECTOR)
# Columns and vectors of a tile, so that its sums stay in registers: 16 of AVX-512's 32, 8 of AVX2's 16.
HAS_WIDE_VECTORS = bool(binding.get_host_cpu_features().get("avx512f"))
TILE_COLUMNS, TILE_VECTORS = (8, 2) if HAS_WIDE_VECTORS else (4, 1)
TILE_LANES = TILE_VECTORS * VECTOR


class Rows:
    """Reads and writes vectors of an array whose last axis is contiguous."""

    def __init__(self, context: Any, builder: Any, kind: Any, value: Any) -> None:
        array = context.make_array(kind)(context, builder, value)
        self._builder, self._data = builder, builder.bitcast(array.data, ir.IntType(8).as_pointer())
        self.strides = cgutils.unpack_tuple(builder, array.strides)
        self.shape = cgutils.unpack_tuple(builder, array.shape)

    def at(self, *places: Any) -> Any:
        """Return the address of an element, as bytes."""
        address = self._data
        for place, stride in zip(places, self.strides, strict=True):
            address = self._builder.gep(address, [self._builder.mul(place, stride)])
        return address


def load(builder: Any, address: Any, kind: Any = FLOATS) -> Any:
    """Return a vector, or a number, at an address."""
    loaded = builder.load(builder.bitcast(address, kind.as_pointer()))
    loaded.align = 4
    return loaded


def store(builder: Any, vector: Any, address: Any) -> None:
    """Write a vector to an address."""
    builder.store(vector, builder.bitcast(address, FLOATS.as_pointer())).align = 4


def spread(builder: Any, number: Any, kind: Any = FLOATS) -> Any:
    """Return a vector that holds the number 16 times."""
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
    nothing = ir.Constant(WHOLE, [0] * VECTOR)
    return builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), nothing)


def multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a * b + c, rounded once."""
    kind = ir.FunctionType(FLOATS, [FLOATS] * 3)
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{VECTOR}f32"), [a, b, c])


def moved(builder: Any, address: Any, count: int, size: Any) -> Any:
    """Return the address so many steps of a size further."""
    return builder.gep(address, [builder.mul(size, ir.Constant(size.type, count))])


def byte_count(count: int) -> Any:
    """Return the bytes of so many floats."""
    return ir.Constant(ir.IntType(64), count * 4)


def _make_tile(columns: int, vectors: int, *, onto: bool) -> Callable[..., None]:
    """A tile of a product: out[column:, lane:] = [out +] bias + weights' transpose times x, `columns` by `vectors`."""

    @intrinsic
    def tile(_typing: Any, weights: Any, bias: Any, x: Any, out: Any, column: Any, lane: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            given = [Rows(context, builder, signature.args[i], arguments[i]) for i in range(4)]
            weight_rows, bias_rows, x_rows, out_rows = given
            column, lane = arguments[4:]
            places = [(c, v) for c in range(columns) for v in range(vectors)]
            out_first = out_rows.at(column, lane)
            targets = {
                (c, v): builder.gep(moved(builder, out_first, c, out_rows.strides[0]), [byte_count(v * VECTOR)])
                for c, v in places
            }
            sums = {}
            for c, v in places:
                address = builder.gep(bias_rows.at(column), [byte_count(c)])
                begin = spread(builder, load(builder, address, ir.FloatType()))
                if onto:
                    begin = builder.fadd(begin, load(builder, targets[c, v]))
                sums[c, v] = cgutils.alloca_once_value(builder, begin)
            with cgutils.for_range(builder, weight_rows.shape[0]) as loop:
                row_weights, row = weight_rows.at(loop.index, column), x_rows.at(loop.index, lane)
                values = [load(builder, builder.gep(row, [byte_count(v * VECTOR)])) for v in range(vectors)]
                for c in range(columns):
                    address = builder.gep(row_weights, [byte_count(c)])
                    weight = spread(builder, load(builder, address, ir.FloatType()))
                    for v in range(vectors):
                        sums_so_far = builder.load(sums[c, v])
                        builder.store(multiply_add(builder, weight, values[v], sums_so_far), sums[c, v])
            for place in places:
                store(builder, builder.load(sums[place]), targets[place])
            return context.get_dummy_value()

        return types.void(weights, bias, x, out, types.intp, types.intp), generate

    return tile


set_tile = _make_tile(TILE_COLUMNS, TILE_VECTORS, onto=False)
add_tile = _make_tile(TILE_COLUMNS, TILE_VECTORS, onto=True)
set_column = _make_tile(1, TILE_VECTORS, onto=False)
add_column = _make_tile(1, TILE_VECTORS, onto=True)


@intrinsic
def add_row(
    _typing: Any, table: Any, place: Any, offset: Any, share: Any, sums: Any, row: Any, at: Any, vectors: Any
) -> Any:
    """sums[row, at:] += table[place, 0, offset:] + share * table[place, 1, offset:], so many vectors."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows = Rows(context, builder, signature.args[0], arguments[0])
        target = Rows(context, builder, signature.args[4], arguments[4])
        _, place, offset, share, _, row, at, vectors = arguments
        zero, one = (ir.Constant(ir.IntType(64), number) for number in (0, 1))
        base, slope, begin = rows.at(place, zero, offset), rows.at(place, one, offset), target.at(row, at)
        shares = spread(builder, share)
        with cgutils.for_range(builder, vectors) as loop:
            distance = builder.mul(loop.index, byte_count(VECTOR))
            value = multiply_add(
                builder,
                shares,
                load(builder, builder.gep(slope, [distance])),
                load(builder, builder.gep(base, [distance])),
            )
            address = builder.gep(begin, [distance])
            store(builder, builder.fadd(load(builder, address), value), address)
        return context.get_dummy_value()

    kinds = (table, types.intp, types.intp, types.float32, sums, types.intp, types.intp, types.intp)
    return types.void(*kinds), generate


@intrinsic
def turn(_typing: Any, source: Any, row: Any, column: Any, target: Any, target_row: Any, target_column: Any) -> Any:
    """target[target_row + j, target_column + i] = source[row + i, column + j] for i, j below 16."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        taken = Rows(context, builder, signature.args[0], arguments[0])
        given = Rows(context, builder, signature.args[3], arguments[3])
        first, begin = taken.at(arguments[1], arguments[2]), given.at(arguments[4], arguments[5])
        block = [load(builder, moved(builder, first, i, taken.strides[0])) for i in range(VECTOR)]
        distance = VECTOR // 2
        while distance:
            block = _exchange(builder, block, distance)
            distance //= 2
        for j, vector in enumerate(block):
            store(builder, vector, moved(builder, begin, j, given.strides[0]))
        return context.get_dummy_value()

    kinds = (source, types.intp, types.intp, target, types.intp, types.intp)
    return types.void(*kinds), generate


def _exchange(builder: Any, block: list[Any], distance: int) -> list[Any]:
    """Exchange the upper right with the lower left quarter of every square of twice the distance."""
    lower = [i if not i & distance else VECTOR + i - distance for i in range(VECTOR)]
    upper = [i + distance if not i & distance else VECTOR + i for i in range(VECTOR)]
    turned = list(block)
    for i in range(VECTOR):
        if not i & distance:
            pair = block[i], block[i + distance]
            turned[i] = builder.shuffle_vector(*pair, ir.Constant(WHOLE, lower))
            turned[i + distance] = builder.shuffle_vector(*pair, ir.Constant(WHOLE, upper))
    return turned


@intrinsic
def add_leaves(
    _typing: Any, x: Any, column: Any, threshold: Any, kept: Any, leaf: Any, tree: Any, lane: Any, sums: Any
) -> Any:
    """sums[lane:] += the leaf of a tree that each of 16 lanes comes to (see `trees`)."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        given = [Rows(context, builder, signature.args[i], arguments[i]) for i in range(5)]
        x_rows, columns, thresholds, kept_rows, leaf_rows = given
        tree, lane = arguments[5], arguments[6]
        zero = ir.Constant(ir.IntType(64), 0)
        every = ir.Constant(WHOLE, [-1] * VECTOR)
        left = cgutils.alloca_once_value(builder, every)
        nodes = [one.at(tree, zero) for one in (columns, thresholds, kept_rows)]
        with cgutils.for_range(builder, columns.shape[1]) as loop:
            distance = builder.mul(loop.index, byte_count(1))
            asked = load(builder, builder.gep(nodes[0], [distance]), ir.IntType(32))
            values = load(builder, x_rows.at(builder.sext(asked, ir.IntType(64)), lane))
            limit = spread(builder, load(builder, builder.gep(nodes[1], [distance]), ir.FloatType()))
            mask = spread(builder, load(builder, builder.gep(nodes[2], [distance]), ir.IntType(32)), WHOLE)
            is_above = builder.fcmp_ordered(">", values, limit)
            builder.store(builder.and_(builder.load(left), builder.select(is_above, mask, every)), left)
        place = _first_bit(builder, builder.load(left))
        target = Rows(context, builder, signature.args[7], arguments[7]).at(lane)
        found = _pick(builder, leaf_rows.at(tree, zero), place)
        store(builder, builder.fadd(load(builder, target), found), target)
        return context.get_dummy_value()

    kinds = (x, column, threshold, kept, leaf, types.intp, types.intp, sums)
    return types.void(*kinds), generate


def _first_bit(builder: Any, vector: Any) -> Any:
    """Return the number of the lowest bit of each whole number that is not zero."""
    kind = ir.FunctionType(WHOLE, [WHOLE, ir.IntType(1)])
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.cttz.v{VECTOR}i32")
    return builder.call(function, [vector, ir.Constant(ir.IntType(1), 1)])


def _pick(builder: Any, address: Any, places: Any) -> Any:
    """Return the floats at these places, below 16, behind an address."""
    if HAS_WIDE_VECTORS:
        table = load(builder, address)
        kind = ir.FunctionType(FLOATS, [FLOATS, WHOLE])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512.permvar.sf.512")
        return builder.call(function, [table, places])
    found = ir.Constant(FLOATS, ir.Undefined)
    for lane in range(VECTOR):
        number = ir.Constant(ir.IntType(32), lane)
        place = builder.mul(builder.sext(builder.extract_element(places, number), ir.IntType(64)), byte_count(1))
        found = builder.insert_element(found, load(builder, builder.gep(address, [place]), ir.FloatType()), number)
    return found
