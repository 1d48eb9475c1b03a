"""A book is cut at the same keys whether an index gives their order or they must be sorted."""

import pytest
from sqlalchemy import Connection, Engine, MetaData, Table, text

from db.connections.engine import reading, writing
from db.sources.key_boundaries import find_boundaries

KEYS = [3, 1, 2, 2, 2, 5, 8, 8, 9, 13, 21, 22]
TEXT_KEYS = ["b", "a", "ä", "Z", "z", "10", "9", "a b", "%", "'", "b", "é"]


def _make_book(engine: Engine, kind: str, keys: list[int] | list[str], *, indexed: bool) -> None:
    with writing(engine) as connection:
        connection.execute(text(f"CREATE TABLE keyed (id {kind}, x INTEGER)"))
        connection.execute(text("INSERT INTO keyed VALUES (:id, 1)"), [{"id": key} for key in [*keys, None]])
        if indexed:
            connection.execute(text("CREATE INDEX ix_keyed ON keyed (id)"))


def _prefer_the_index(connection: Connection) -> None:
    """A table this small is sorted sooner than its index is read."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL enable_sort = off"))
        connection.execute(text("SET LOCAL enable_seqscan = off"))


def _cut(engine: Engine, every: int) -> list[tuple[object, int]]:
    with writing(engine) as connection:  # settings of the transaction need one
        _prefer_the_index(connection)
        keyed = Table("keyed", MetaData(), autoload_with=connection)
        return list(find_boundaries(connection, keyed.c.id, every))


@pytest.mark.parametrize(
    ("indexed", "expected"),
    [
        (True, [("2", 4), ("8", 4), ("21", 3), ("22", 1)]),  # every 3 from the last cut on
        (False, [("2", 4), ("5", 2), ("9", 3), ("22", 3)]),  # at every third position
    ],
)
def test_equal_keys_stay_together_and_every_record_is_counted_once(
    engine: Engine, indexed: bool, expected: list[tuple[str, int]]
) -> None:
    _make_book(engine, "INTEGER", KEYS, indexed=indexed)
    assert [(str(key), count) for key, count in _cut(engine, 3)] == expected


@pytest.mark.parametrize("every", [1, 2, 5, 12, 13, 100])
@pytest.mark.parametrize("indexed", [True, False])
def test_text_is_cut_in_the_order_of_the_database(engine: Engine, every: int, indexed: bool) -> None:
    _make_book(engine, "TEXT", TEXT_KEYS, indexed=indexed)
    cuts = _cut(engine, every)
    with reading(engine) as connection:
        ordered = list(connection.execute(text("SELECT id FROM keyed WHERE id IS NOT NULL ORDER BY id")).scalars())
    ends = [sum(count for _, count in cuts[: place + 1]) for place in range(len(cuts))]
    assert [ordered[end - 1] for end in ends] == [key for key, _ in cuts]
    assert ends[-1] == len(TEXT_KEYS)


def test_the_index_is_walked_where_there_is_one(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    _make_book(engine, "INTEGER", KEYS, indexed=True)
    monkeypatch.setattr("db.sources.key_boundaries._number", lambda *_: pytest.fail("all keys were sorted"))
    assert len(_cut(engine, 3)) == 4


def test_keys_without_an_index_are_sorted_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    _make_book(engine, "INTEGER", KEYS, indexed=False)
    monkeypatch.setattr("db.sources.key_boundaries._walk", lambda *_: pytest.fail("every step would sort all keys"))
    assert sum(count for _, count in _cut(engine, 3)) == len(KEYS)
