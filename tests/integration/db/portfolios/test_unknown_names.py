"""A name that does not exist is answered with those that do."""

import pytest
from sqlalchemy import Engine

from db.errors import NotFoundError
from db.portfolios.catalog import get_portfolio, save_portfolio
from tests.building import book_definition


def add_books(engine: Engine, *names: str) -> None:
    for name in names:
        save_portfolio(engine, book_definition(name=name), who="test")


def said(engine: Engine, name: str) -> str:
    with pytest.raises(NotFoundError) as raised:
        get_portfolio(engine, name)
    return str(raised.value)


def test_all_names_are_listed_the_likeliest_first(sqlite_engine: Engine) -> None:
    add_books(sqlite_engine, "cards", "german", "loans", "messy", "zebra")
    assert "There are: messy, cards, german, loans, zebra." in said(sqlite_engine, "messi")


def test_of_many_names_ten_are_listed_and_the_others_counted(sqlite_engine: Engine) -> None:
    add_books(sqlite_engine, *(f"book_{number:02d}" for number in range(14)), "cards")
    result = said(sqlite_engine, "card")
    assert "There are: cards, book_00, " in result
    assert " and 5 more." in result
