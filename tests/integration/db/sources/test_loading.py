"""Loading puts every row into the source table, and again changes nothing."""

import pytest
from sqlalchemy import Engine, text

from db.connections.engine import writing
from db.errors import KeyTypeError, SourceError
from db.portfolios.catalog import save_portfolio
from db.sources.loading import load_records
from db.sources.source_table import count_records
from tests.building import book_definition, book_frame, load_book


def test_loading_again_replaces_rows_of_the_same_key(engine: Engine) -> None:
    load_book(engine, [1, 2, 3])
    outcome = load_book(engine, [2, 3, 4])
    assert (outcome.loaded, outcome.replaced, outcome.total) == (3, 2, 4)


def test_a_repeated_key_and_a_missing_one_come_as_far_as_the_table(engine: Engine) -> None:
    outcome = load_book(engine, [1, 1, None, 2])
    assert (outcome.total, outcome.without_key) == (4, 1)


def test_the_same_file_twice_leaves_the_same_rows(engine: Engine) -> None:
    load_book(engine, [1, 1, None, 2])
    assert load_book(engine, [1, 1, None, 2]).total == 4


def test_text_keys_do_not_fit_a_table_of_numbers(engine: Engine) -> None:
    load_book(engine, [1])
    with pytest.raises(KeyTypeError, match="--replace"):
        load_book(engine, ["a"], key_type="text")


def test_whole_numbers_fit_a_table_of_text_keys(engine: Engine) -> None:
    load_book(engine, ["a"], key_type="text")
    assert load_book(engine, [7]).total == 2


def test_a_failed_load_leaves_the_table_as_it_was(engine: Engine) -> None:
    load_book(engine, [1, 2])

    def broken_feed():
        yield book_frame([3])
        raise ValueError("the feed broke")

    with pytest.raises(ValueError, match="the feed broke"):
        load_records(engine, book_definition(), broken_feed(), key_type="integer", who="test")
    assert count_records(engine, book_definition().records) == 2


def test_a_view_is_not_loaded_into(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(text("CREATE VIEW book AS SELECT 1 AS id"))
    with pytest.raises(SourceError, match="is a view"):
        load_book(engine, [1])


def test_a_table_of_somebody_else_is_neither_changed_nor_dropped(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(text("CREATE TABLE book (id INTEGER, bad INTEGER, amount INTEGER, colour TEXT)"))
    with pytest.raises(SourceError, match="not by Tidemark"):
        load_book(engine, [1])
    with pytest.raises(SourceError, match="not dropped"):
        load_records(engine, book_definition(), [], key_type="integer", replace_all=True, who="test")


def test_replacing_makes_the_table_anew(engine: Engine) -> None:
    load_book(engine, [1, 2])
    definition = book_definition()
    frame = book_frame(["x"])
    outcome = load_records(engine, definition, [frame], key_type="text", replace_all=True, who="test")
    assert outcome.total == 1


def test_column_names_with_quotes_and_blanks_are_only_names(engine: Engine) -> None:
    definition = book_definition(source='a "b"; DROP', key="the id")
    save_portfolio(engine, definition, who="test")
    frame = book_frame([1]).rename(columns={"id": "the id"})
    assert load_records(engine, definition, [frame], key_type="integer", who="test").total == 1
