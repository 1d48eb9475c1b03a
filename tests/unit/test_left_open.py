"""The guard that every test runs under sees what was forgotten, and nothing else."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from db.connections.engine import Engine, open_engine, opened_engine, reading
from tests.left_open import LeftOpen


@pytest.fixture
def watch() -> Iterator[LeftOpen]:
    """A watch of one's own: the suite's does not see what is opened under it."""
    own = LeftOpen()
    with own.watching():
        own.opener = "the test"
        yield own


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'tidemark.db'}"


def ask(engine: Engine) -> None:
    with reading(engine) as connection:
        connection.exec_driver_sql("SELECT 1")


def test_an_engine_that_was_forgotten_names_who_opened_it(watch: LeftOpen, url: str) -> None:
    ask(open_engine(url))
    assert watch.take_lost() == ["the test"]
    assert watch.take_lost() == []


def test_a_connection_without_an_engine_is_seen_too(watch: LeftOpen, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "plain.db") as connection:  # ends the transaction, and closes nothing
        connection.execute("SELECT 1")
    del connection
    assert watch.take_lost() == ["the test"]


def test_an_engine_that_somebody_still_holds_is_open_and_not_forgotten(watch: LeftOpen, url: str) -> None:
    with opened_engine(url) as engine:
        ask(engine)
        assert watch.take_lost() == []
        assert watch.still_open() == ["the test"]
    assert watch.still_open() == []


def test_an_opened_engine_is_closed_although_its_block_fails(watch: LeftOpen, url: str) -> None:
    def fail() -> None:
        with opened_engine(url) as engine:
            ask(engine)
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert watch.take_lost() + watch.still_open() == []
