"""The compiled head finds the reasons that the Keras head finds, and each record's by itself."""

from dataclasses import replace

import numpy as np
import pytest

from transformer.precompile import precompile
from transformer.reasons.explainer import HeadSizes, Ladder, ReasonHead, choose_reasons
from transformer.reasons.reason_scorer import CompiledReasons

WIDTH = 48


def _draw_head(columns: int = 7, inputs: int = 2, steps: int = 12, sizes: HeadSizes | None = None) -> ReasonHead:
    """A head with random weights; the last step of every ladder, and the whole second one of the first, are unused."""
    random = np.random.default_rng(columns)
    places = random.permutation(columns * inputs).reshape(columns, inputs).astype(np.int32)
    edges = np.sort(random.uniform(-2, 2, (columns, inputs, steps + 1)), axis=-1).astype(np.float32)
    lower, width = edges[..., :-1].copy(), np.diff(edges, axis=-1)
    lower[..., -1], width[..., -1] = np.finfo(np.float32).max / 4, 1
    if inputs > 1:
        lower[0, 1], width[0, 1] = np.finfo(np.float32).max / 4, 1
    ladder = Ladder(places, lower, width, np.zeros((columns, inputs * steps), np.float32))
    ladder = replace(ladder, reference=ladder.climb(random.uniform(-2, 2, (1, columns * inputs)).astype(np.float32))[0])
    head = ReasonHead(ladder, sizes or HeadSizes())
    head.build((None, columns * inputs), (None, WIDTH))
    head.set_weights([one + random.normal(0, 0.2, one.shape) for one in head.get_weights()])
    return head


def _draw_records(head: ReasonHead, rows: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(rows)
    flat = random.uniform(-3, 3, (rows, head.ladder.places.size)).astype(np.float32)
    flat[::5, 0] = head.ladder.lower[0, 0, 3]  # on an edge
    return flat, random.normal(size=(rows, WIDTH)).astype(np.float32)


@pytest.mark.parametrize(("columns", "inputs"), [(1, 1), (3, 1), (7, 2), (23, 2), (60, 3)])
def test_it_finds_what_keras_finds(columns: int, inputs: int) -> None:
    head = _draw_head(columns, inputs)
    compiled = CompiledReasons.of(head, WIDTH)
    assert compiled is not None
    flat, summary = _draw_records(head, 333)
    expected = np.asarray(choose_reasons(head(flat, summary)))
    assert (compiled.run({"positions": flat}, summary) == expected).all(axis=1).mean() > 0.99
    assert len(np.unique(expected[:, 0])) > min(2, columns)


@pytest.mark.parametrize("sizes", [HeadSizes(rank=2, hidden=20), HeadSizes(rank=16), HeadSizes(rank=8, hidden=32)])
def test_it_finds_what_keras_finds_at_other_sizes(sizes: HeadSizes) -> None:
    head = _draw_head(sizes=sizes)
    compiled = CompiledReasons.of(head, WIDTH)
    assert compiled is not None
    flat, summary = _draw_records(head, 200)
    expected = np.asarray(choose_reasons(head(flat, summary)))
    assert (compiled.run({"positions": flat}, summary) == expected).all(axis=1).mean() > 0.99


@pytest.mark.parametrize("first", [0, 1, 17, 128, 200])
def test_neighbours_and_place_change_no_reason(first: int) -> None:
    head = _draw_head(23)
    compiled = CompiledReasons.of(head, WIDTH)
    assert compiled is not None
    flat, summary = _draw_records(head, 300)
    whole = compiled.run({"positions": flat}, summary)
    np.testing.assert_array_equal(compiled.run({"positions": flat[first:]}, summary[first:]), whole[first:])


@pytest.mark.parametrize("head", [_draw_head(sizes=HeadSizes(rank=3)), _draw_head(steps=17)])
def test_a_head_of_another_structure_is_left_to_tensorflow(head: ReasonHead) -> None:
    assert CompiledReasons.of(head, WIDTH) is None


def test_a_head_that_says_something_else_is_left_to_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "transformer.reasons.reason_scorer._pad_columns",
        lambda weights, columns: np.zeros((len(weights), columns), np.float32),
    )
    assert CompiledReasons.of(_draw_head(), WIDTH) is None


def test_the_installation_compiles_all_of_it() -> None:
    assert precompile()
