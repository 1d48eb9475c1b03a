"""The registry: one champion per portfolio, moved by compare-and-set, every decision kept."""

import pytest
from sqlalchemy import Engine

from db.connections.engine import writing
from db.errors import NotFoundError
from db.registry.champions import Champion, Decision, decide, get_champion, list_decisions
from db.registry.versions import get_model, list_models
from db.schema.states import ModelState
from tests.building import BOOK, add_model, load_book


@pytest.fixture
def book(engine: Engine) -> Engine:
    """A database with a portfolio and the champion m1."""
    load_book(engine, [1])
    add_model(engine, "m1")
    return engine


def _decide(engine: Engine, version: str, seen: Champion | None, *, promoted: bool = True) -> bool:
    with writing(engine) as connection:
        return decide(
            connection, Decision(BOOK, version, None, promoted, "why", {"n": 1}, "gate", None), champion_before=seen
        )


def test_a_promotion_retires_the_champion_before_it(book: Engine) -> None:
    add_model(book, "m2", champion=False)
    assert _decide(book, "m2", get_champion(book, BOOK))
    assert [(one.version, one.state) for one in list_models(book, BOOK)] == [
        ("m2", ModelState.CHAMPION),
        ("m1", ModelState.RETIRED),
    ]


def test_a_promotion_that_saw_an_older_champion_is_not_made(book: Engine) -> None:
    seen = get_champion(book, BOOK)
    add_model(book, "m2", champion=False)
    add_model(book, "m3", champion=False)
    assert _decide(book, "m2", seen)
    assert not _decide(book, "m3", seen)
    assert get_champion(book, BOOK) == Champion("m2", 2)
    assert "was promoted first" in list_decisions(book, BOOK)[0].reason


def test_a_refusal_is_a_decision_too(book: Engine) -> None:
    add_model(book, "m2", champion=False)
    assert not _decide(book, "m2", get_champion(book, BOOK), promoted=False)
    assert get_model(book, "m2").state is ModelState.REFUSED
    assert list_decisions(book, BOOK)[0].figures == {"n": 1}


def test_the_same_version_trained_again_stays_champion(book: Engine) -> None:
    add_model(book, "m1", champion=False)
    assert _decide(book, "m1", get_champion(book, BOOK))
    assert get_model(book, "m1").state is ModelState.CHAMPION


def test_an_unknown_version_is_told(book: Engine) -> None:
    with pytest.raises(NotFoundError, match="tidemark model list"):
        get_model(book, "m9")
