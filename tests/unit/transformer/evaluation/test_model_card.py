"""The model card: every section is there, figures are those of the held-out records, equal models give equal cards."""

import json

import numpy as np
import pytest

from tests.unit.transformer.books import make_book
from transformer.bundles.held_out_scores import HeldOutScores, match_records, name_of
from transformer.evaluation.card_text import NAMES
from transformer.evaluation.figures import evaluate
from transformer.evaluation.intervals import FIGURES
from transformer.evaluation.model_card import CARD_JSON, CARD_MARKDOWN, CardFacts, HeldOut, write_card
from transformer.records.splitting import hash_order
from transformer.scoring.points import ScoreScale

SECRET = b"a secret of a house"
PNG = b"\x89PNG\r\n"
FACTS = CardFacts("A book", {"records": 400, "as_of": None}, {"epochs": 2}, ScoreScale(), segments=("region",))


@pytest.fixture(scope="module")
def held_out() -> HeldOut:
    frame, target, _ = make_book(400, seed=3)
    noise = np.random.default_rng(1).normal(size=400)
    return HeldOut(frame, target, 1 / (1 + np.exp(-(2 * target - 1.4 + noise))))


@pytest.fixture(scope="module")
def card(held_out: HeldOut) -> dict[str, bytes]:
    return write_card(FACTS, held_out, None)


def test_the_figures_are_those_of_the_held_out_records(card: dict[str, bytes], held_out: HeldOut) -> None:
    document = json.loads(card[CARD_JSON])
    plain = evaluate(held_out.target, held_out.probability)
    assert {name: one["value"] for name, one in document["held_out"]["figures"].items()} == {
        name: pytest.approx(plain[name]) for name in FIGURES
    }
    for part in ("calibration_curve", "score_distribution"):
        assert sum(one.get("rows", one.get("good", 0) + one.get("bad", 0)) for one in document[part]) == 400
    assert {one["value"] for one in document["segments"]} == {"north", "south", "west"}
    assert any("No column has the date of a record" in one for one in document["limits"])


def test_the_text_tells_every_figure_and_shows_every_picture(card: dict[str, bytes]) -> None:
    text = card[CARD_MARKDOWN].decode()
    for name in NAMES.values():
        assert f"| {name} |" in text
    for title in ("Data", "Training", "Figures", "Calibration", "Scores", "Segments", "Limits"):
        assert f"\n## {title}\n" in text
    pictures = [name for name in card if name.endswith(".png")]
    assert len(pictures) == 3
    for name in pictures:
        assert f"]({name})" in text
        assert card[name].startswith(PNG)


def test_the_same_model_gives_the_same_card_to_the_byte(card: dict[str, bytes], held_out: HeldOut) -> None:
    assert write_card(FACTS, held_out, None) == card


def test_models_are_matched_on_the_records_that_both_held_out() -> None:
    keys = np.array([f"k{number}" for number in range(100)], dtype=object)
    target = (np.arange(100) % 3 == 0).astype(float)
    score = np.linspace(0.1, 0.9, 100)
    first = HeldOutScores.of(keys[:60], target[:60], score[:60], secret=SECRET)
    second = HeldOutScores.of(keys[40:], target[40:], 1 - score[40:], secret=SECRET)
    known, before, after = match_records(first, second)
    assert len(known) == 20
    np.testing.assert_allclose(before + after, 1.0)
    assert sorted(before.tolist()) == score[40:60].tolist()


def test_scores_of_an_older_release_match_those_of_today_once_their_hashes_are_keyed() -> None:
    keys, half = np.array([f"k{number}" for number in range(50)], dtype=object), np.full(50, 0.5)
    older = HeldOutScores(np.sort(hash_order(keys)), half, half)
    assert len(match_records(older, HeldOutScores.of(keys, half, half, secret=SECRET))[0]) == 0
    assert len(match_records(older.keyed(SECRET), HeldOutScores.of(keys, half, half, secret=SECRET))[0]) == 50


def test_held_out_scores_come_back_and_say_which_secret_they_need() -> None:
    keys, half = np.array(["a", "b"], dtype=object), np.full(2, 0.5)
    kept = HeldOutScores.of(keys, half, half, secret=SECRET)
    back = HeldOutScores.from_bytes(kept.to_bytes())
    assert (back.keyed_with, back.hashes.tolist()) == (name_of(SECRET), kept.hashes.tolist())
    assert SECRET not in kept.to_bytes()
    assert HeldOutScores.of(keys, half, half, secret=b"another").keyed_with != back.keyed_with
