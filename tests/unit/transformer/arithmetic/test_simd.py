"""What is written for the machine's vectors is what NumPy computes, and the tile changes no bit."""

import numpy as np
import pytest
from numba import njit

from transformer.arithmetic import simd
from transformer.arithmetic.kernels import BLOCK_PITCH, BLOCK_ROWS, Dense, add_product, add_turned_product, set_product
from transformer.arithmetic.simd import VECTOR, add_row, add_vector, turn

SIZES = [(32, 32), (32, 128), (64, 32), (24, 20), (5, 3), (1, 1)]


def _draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("size", SIZES)
def test_a_product_is_bias_plus_weights_times_rows(size: tuple[int, int]) -> None:
    rows, columns = size
    weights, bias, x, out = _draw(rows, columns), _draw(columns), _draw(rows, BLOCK_PITCH), _draw(columns, BLOCK_PITCH)
    before, expected = out.copy(), weights.T @ x + bias[:, None]
    add_product(Dense(weights, bias), x, out)
    np.testing.assert_allclose(out[:, :BLOCK_ROWS], (before + expected)[:, :BLOCK_ROWS], atol=1e-5)
    set_product(Dense(weights, bias), x, out)
    np.testing.assert_allclose(out[:, :BLOCK_ROWS], expected[:, :BLOCK_ROWS], atol=1e-5)
    np.testing.assert_array_equal(out[:, BLOCK_ROWS:], before[:, BLOCK_ROWS:])


@pytest.mark.parametrize("size", SIZES)
def test_a_turned_product_is_the_kernel_times_rows(size: tuple[int, int]) -> None:
    rows, columns = size
    weights, y, out = _draw(rows, columns), _draw(columns, BLOCK_PITCH), _draw(rows, BLOCK_PITCH)
    expected = out + weights @ y
    expected[:, BLOCK_ROWS:] = out[:, BLOCK_ROWS:]
    add_turned_product(weights, y, out)
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("tile", [(8, 2), (4, 1), (2, 4)])
def test_the_tile_of_a_processor_changes_no_bit(tile: tuple[int, int]) -> None:
    np.testing.assert_array_equal(_multiply_by(*tile), _multiply_by(1, 1))


def _multiply_by(columns: int, width: int) -> np.ndarray:
    weights, bias, x, out = _draw(32, 8), _draw(8), _draw(32, BLOCK_PITCH), np.zeros((8, BLOCK_PITCH), np.float32)
    tile = simd._make_tile(columns, width, onto=False)

    @njit
    def run(weights, bias, x, out):
        for j in range(0, 8, columns):
            for record in range(0, BLOCK_ROWS, width * VECTOR):
                tile(weights, bias, x, out, j, record)

    run(weights, bias, x, out)
    return out


def test_a_row_is_added_with_its_share_of_the_slope() -> None:
    table, sums = _draw(5, 2, 48), _draw(3, 64)
    expected = sums.copy()
    expected[1, 16:48] += table[4, 0, 16:] + np.float32(0.3) * table[4, 1, 16:]

    @njit
    def run(table, sums):
        add_row(table, 4, 16, np.float32(0.3), sums, 1, 16, 2)

    run(table, sums)
    np.testing.assert_allclose(sums, expected, atol=1e-6)


def test_a_vector_is_added() -> None:
    table, sums = _draw(5, 48), _draw(3, 64)
    expected = sums.copy()
    expected[1, 16:32] += table[4, 20:36]

    @njit
    def run(table, sums):
        add_vector(table, 4, 20, sums, 1, 16)

    run(table, sums)
    np.testing.assert_array_equal(sums, expected)


def test_sixteen_rows_become_sixteen_columns() -> None:
    source, target = _draw(20, 40), np.zeros((33, 50), np.float32)
    expected = target.copy()
    expected[7 : 7 + VECTOR, 30 : 30 + VECTOR] = source[2 : 2 + VECTOR, 11 : 11 + VECTOR].T

    @njit
    def run(source, target):
        turn(source, 2, 11, target, 7, 30)

    run(source, target)
    np.testing.assert_array_equal(target, expected)
