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
TILE_RECORDS = TILE_VECTORS * VECTOR


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


def broadcast(builder: Any, number: Any, kind: Any = FLOATS) -> Any:
    """Return a vector that holds the number 16 times."""
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
    nothing = ir.Constant(WHOLE, [0] * VECTOR)
    return builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), nothing)


def multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a * b + c, rounded once."""
    kind = ir.FunctionType(a.type, [a.type] * 3)
    name = f"llvm.fmuladd.v{a.type.count}f32"
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [a, b, c])


def moved(builder: Any, address: Any, count: int, size: Any) -> Any:
    """Return the address so many steps of a size further."""
    return builder.gep(address, [builder.mul(size, ir.Constant(size.type, count))])


def byte_count(count: int) -> Any:
    """Return the bytes of so many floats."""
    return ir.Constant(ir.IntType(64), count * 4)


def _sum_rows(
    builder: Any, sums: dict[Any, Any], count: Any, weight_at: Any, x_at: Any, targets: dict[Any, Any]
) -> None:
    """Add up weights times rows of x in registers, and write the sums to their targets."""
    columns, vectors = (1 + max(place[axis] for place in sums) for axis in (0, 1))
    kept = {place: cgutils.alloca_once_value(builder, begin) for place, begin in sums.items()}
    with cgutils.for_range(builder, count) as loop:
        row = x_at(loop.index)
        values = [load(builder, builder.gep(row, [byte_count(v * VECTOR)])) for v in range(vectors)]
        for c, address in enumerate(weight_at(loop.index, columns)):
            weight = broadcast(builder, load(builder, address, ir.FloatType()))
            for v in range(vectors):
                builder.store(multiply_add(builder, weight, values[v], builder.load(kept[c, v])), kept[c, v])
    for place, target in targets.items():
        store(builder, builder.load(kept[place]), target)


def _targets(builder: Any, out: Rows, column: Any, record: Any, size: tuple[int, int]) -> dict[Any, Any]:
    first = out.at(column, record)
    return {
        (c, v): builder.gep(moved(builder, first, c, out.strides[0]), [byte_count(v * VECTOR)])
        for c in range(size[0])
        for v in range(size[1])
    }


def _make_tile(columns: int, vectors: int, *, onto: bool) -> Callable[..., None]:
    """A tile of a product: out[column:, record:] = [out +] bias + kernel' x, `columns` by `vectors`."""

    @intrinsic
    def tile(_typing: Any, weights: Any, bias: Any, x: Any, out: Any, column: Any, record: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            given = [Rows(context, builder, signature.args[i], arguments[i]) for i in range(4)]
            weight_rows, bias_rows, x_rows, out_rows = given
            column, record = arguments[4:]
            targets = _targets(builder, out_rows, column, record, (columns, vectors))
            sums = {}
            for c, v in targets:
                address = builder.gep(bias_rows.at(column), [byte_count(c)])
                begin = broadcast(builder, load(builder, address, ir.FloatType()))
                sums[c, v] = builder.fadd(begin, load(builder, targets[c, v])) if onto else begin

            def weight_at(row: Any, count: int) -> list[Any]:
                first = weight_rows.at(row, column)
                return [builder.gep(first, [byte_count(c)]) for c in range(count)]

            _sum_rows(builder, sums, weight_rows.shape[0], weight_at, lambda row: x_rows.at(row, record), targets)
            return context.get_dummy_value()

        return types.void(weights, bias, x, out, types.intp, types.intp), generate

    return tile


def _make_turned_tile(columns: int, vectors: int) -> Callable[..., None]:
    """A tile of a product with the kernel as it stands: out[row:, record:] += kernel y."""

    @intrinsic
    def tile(_typing: Any, weights: Any, y: Any, out: Any, row: Any, record: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            weight_rows, y_rows, out_rows = (Rows(context, builder, signature.args[i], arguments[i]) for i in range(3))
            row, record = arguments[3:]
            targets = _targets(builder, out_rows, row, record, (columns, vectors))
            sums = {place: load(builder, target) for place, target in targets.items()}

            def weight_at(column: Any, count: int) -> list[Any]:
                first = weight_rows.at(row, column)
                return [moved(builder, first, c, weight_rows.strides[0]) for c in range(count)]

            _sum_rows(builder, sums, weight_rows.shape[1], weight_at, lambda column: y_rows.at(column, record), targets)
            return context.get_dummy_value()

        return types.void(weights, y, out, types.intp, types.intp), generate

    return tile


set_tile = _make_tile(TILE_COLUMNS, TILE_VECTORS, onto=False)
add_tile = _make_tile(TILE_COLUMNS, TILE_VECTORS, onto=True)
set_column = _make_tile(1, TILE_VECTORS, onto=False)
add_column = _make_tile(1, TILE_VECTORS, onto=True)
add_turned_tile = _make_turned_tile(TILE_COLUMNS, TILE_VECTORS)
add_turned_column = _make_turned_tile(1, TILE_VECTORS)


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
        shares = broadcast(builder, share)
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
def add_vector(_typing: Any, table: Any, place: Any, offset: Any, sums: Any, row: Any, at: Any) -> Any:
    """sums[row, at:] += table[place, offset:], one vector."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source = Rows(context, builder, signature.args[0], arguments[0]).at(*arguments[1:3])
        target = Rows(context, builder, signature.args[3], arguments[3]).at(*arguments[4:])
        store(builder, builder.fadd(load(builder, target), load(builder, source)), target)
        return context.get_dummy_value()

    return types.void(table, types.intp, types.intp, sums, types.intp, types.intp), generate


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
    _typing: Any, x: Any, column: Any, threshold: Any, kept: Any, leaf: Any, tree: Any, record: Any, sums: Any
) -> Any:
    """sums[record:] += the leaf of a tree that each of 16 records comes to (see `layers.trees`)."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        given = [Rows(context, builder, signature.args[i], arguments[i]) for i in range(5)]
        x_rows, columns, thresholds, kept_rows, leaf_rows = given
        tree, record = arguments[5], arguments[6]
        zero = ir.Constant(ir.IntType(64), 0)
        every = ir.Constant(WHOLE, [-1] * VECTOR)
        left = cgutils.alloca_once_value(builder, every)
        nodes = [one.at(tree, zero) for one in (columns, thresholds, kept_rows)]
        with cgutils.for_range(builder, columns.shape[1]) as loop:
            distance = builder.mul(loop.index, byte_count(1))
            asked = load(builder, builder.gep(nodes[0], [distance]), ir.IntType(32))
            values = load(builder, x_rows.at(builder.sext(asked, ir.IntType(64)), record))
            limit = broadcast(builder, load(builder, builder.gep(nodes[1], [distance]), ir.FloatType()))
            mask = broadcast(builder, load(builder, builder.gep(nodes[2], [distance]), ir.IntType(32)), WHOLE)
            is_above = builder.fcmp_ordered(">", values, limit)
            builder.store(builder.and_(builder.load(left), builder.select(is_above, mask, every)), left)
        place = _first_bit(builder, builder.load(left))
        target = Rows(context, builder, signature.args[7], arguments[7]).at(record)
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
    for record in range(VECTOR):
        number = ir.Constant(ir.IntType(32), record)
        place = builder.mul(builder.sext(builder.extract_element(places, number), ir.IntType(64)), byte_count(1))
        found = builder.insert_element(found, load(builder, builder.gep(address, [place]), ir.FloatType()), number)
    return found
