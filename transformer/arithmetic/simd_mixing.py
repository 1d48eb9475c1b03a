"""Sums of products of vectors, record by record, as attention needs them: those of some tokens stay in registers."""

# Numba and llvmlite have no types.
# pyright: basic

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from transformer.arithmetic.simd import FLOATS, VECTOR, Rows, load, multiply_add, store

_WHOLE = types.intp


def _number(value: int) -> Any:
    return ir.Constant(ir.IntType(64), value)


def _sum(builder: Any, count: Any, x_at: Callable[..., Any], y_at: Callable[..., Any], sums: list[Any]) -> list[Any]:
    """Return the sums plus those over r < count of x[r] * y[r, c]; what is given are addresses."""
    kept = [cgutils.alloca_once_value(builder, one) for one in sums]
    with cgutils.for_range(builder, count) as loop:
        factor = load(builder, x_at(loop.index))
        for c, one in enumerate(kept):
            value = load(builder, y_at(loop.index, _number(c)))
            builder.store(multiply_add(builder, factor, value, builder.load(one)), one)
    return [builder.load(one) for one in kept]


def _make_compare(tokens: int) -> Any:
    """What some tokens have in common with another one."""

    @intrinsic
    def compare(_typing: Any, x: Any, i: Any, y: Any, t: Any, first: Any, count: Any, out: Any, record: Any) -> Any:
        """out[c, i] = the sum over k = first .. first + count - 1 of x[i, k] * y[t + c, k]."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            xs, ys, outs = (Rows(context, builder, signature.args[at], arguments[at]) for at in (0, 2, 6))
            _, i, _, t, first, count, _, record = arguments

            def x_at(r: Any) -> Any:
                return xs.at(i, builder.add(first, r), record)

            def y_at(r: Any, c: Any) -> Any:
                return ys.at(builder.add(t, c), builder.add(first, r), record)

            nothing = [ir.Constant(FLOATS, [0.0] * VECTOR)] * tokens
            for c, one in enumerate(_sum(builder, count, x_at, y_at, nothing)):
                store(builder, one, outs.at(_number(c), i, record))
            return context.get_dummy_value()

        return types.void(x, _WHOLE, y, _WHOLE, _WHOLE, _WHOLE, out, _WHOLE), generate

    return compare


def _make_weigh(tokens: int) -> Any:
    """A row of what tokens are weighed to."""

    @intrinsic
    def weigh(_typing: Any, x: Any, i: Any, shares: Any, count: Any, out: Any, t: Any, record: Any) -> Any:
        """out[t + c, i] = the sum over m < count of shares[c, m] * x[m, i]."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            xs, ys, outs = (Rows(context, builder, signature.args[at], arguments[at]) for at in (0, 2, 4))
            _, i, _, count, _, t, record = arguments
            nothing = [ir.Constant(FLOATS, [0.0] * VECTOR)] * tokens
            sums = _sum(builder, count, lambda m: xs.at(m, i, record), lambda m, c: ys.at(c, m, record), nothing)
            for c, one in enumerate(sums):
                store(builder, one, outs.at(builder.add(t, _number(c)), i, record))
            return context.get_dummy_value()

        return types.void(x, _WHOLE, shares, _WHOLE, out, _WHOLE, _WHOLE), generate

    return weigh


def _make_collect(columns: int) -> Any:
    """Some rows of what a token gets back from others."""

    @intrinsic
    def collect(_typing: Any, shares: Any, m: Any, y: Any, t: Any, count: Any, out: Any, k: Any, record: Any) -> Any:
        """out[m, k + c] += the sum over r < count of shares[r, m] * y[t + r, k + c]."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            xs, ys, outs = (Rows(context, builder, signature.args[at], arguments[at]) for at in (0, 2, 5))
            _, m, _, t, count, _, k, record = arguments
            targets = [outs.at(m, builder.add(k, _number(c)), record) for c in range(columns)]

            def y_at(r: Any, c: Any) -> Any:
                return ys.at(builder.add(t, r), builder.add(k, c), record)

            begin = [load(builder, one) for one in targets]
            sums = _sum(builder, count, lambda r: xs.at(r, m, record), y_at, begin)
            for one, target in zip(sums, targets, strict=True):
                store(builder, one, target)
            return context.get_dummy_value()

        return types.void(shares, _WHOLE, y, _WHOLE, _WHOLE, out, _WHOLE, _WHOLE), generate

    return collect


compare_4, compare_2, compare_1 = (_make_compare(tokens) for tokens in (4, 2, 1))
weigh_4, weigh_2, weigh_1 = (_make_weigh(tokens) for tokens in (4, 2, 1))
collect_4, collect_1 = (_make_collect(columns) for columns in (4, 1))
