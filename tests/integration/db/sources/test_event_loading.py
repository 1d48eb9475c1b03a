"""Loading events: in one transaction, by record or added, for this portfolio alone; late ones and erased persons."""

import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine, inspect, text

from db.connections.engine import reading, writing
from db.erasure.erasure import Person, erase_record
from db.errors import KeyTypeError, SourceError
from db.events.event_log import LATE, list_portfolio_events
from db.portfolios.catalog import save_portfolio
from db.portfolios.definition import EventsDefinition, FieldDefinition, FieldKind
from db.portfolios.source_grants import grant_source
from db.results.shard_results import complete_scored_shard
from db.sources.event_loading import EventLoad, EventLoadMode, EventLoadOutcome, load_events
from db.sources.event_table import EVENT_AT, EVENT_KEY, check_all_events, read_events
from db.sources.event_times import as_microseconds
from db.sources.source_table import KeyRange
from tests.building import BOOK, add_model, book_definition, claim, load_book, result_for, start_scoring

EVENTS = EventsDefinition(
    "bookings",
    "bookings",
    "customer",
    "at",
    type="kind",
    fields=(FieldDefinition("amount", FieldKind.NUMERIC), FieldDefinition("shop name", FieldKind.CATEGORICAL)),
)
DEFINITION = book_definition(events=(EVENTS,))
NOON = as_microseconds(pd.Timestamp("2026-11-24 12:00:00.000001"))
DAY = 24 * 3600 * 1_000_000
APPEND, BY_RECORD, REPLACE = EventLoadMode.APPEND, EventLoadMode.BY_RECORD, EventLoadMode.REPLACE


def frame_of(*rows: tuple[Any, int, float | None]) -> pd.DataFrame:
    keys, times, amounts = zip(*rows, strict=True)
    columns = {"customer": pd.Series(keys, dtype="object"), "at": pd.Series(times, dtype="int64")}
    shops = pd.Series(['a "quoted" shop, and\nmore', None] * len(rows), dtype="object")[: len(rows)]
    kinds = pd.Series(["card"] * len(rows), dtype="object")
    return pd.DataFrame({**columns, "kind": kinds, "amount": pd.Series(amounts, dtype="float64"), "shop name": shops})


def load(engine: Engine, *rows: tuple[Any, int, float | None], **given: Any) -> EventLoadOutcome:
    key_type = given.pop("key_type", "integer")
    return load_events(engine, EventLoad(DEFINITION, EVENTS, key_type, who="test", **given), [frame_of(*rows)])


def amounts(engine: Engine, upto: Any = "999") -> list[float]:
    return read_all_events(engine, upto)["amount"].tolist()


def read_all_events(engine: Engine, upto: str = "999") -> pd.DataFrame:
    return read_events(engine, DEFINITION.events_of(EVENTS), EVENTS, KeyRange(None, upto, 0))


@pytest.fixture
def book(engine: Engine) -> Engine:
    """A book of whole numbers as keys, whose portfolio has events."""
    load_book(engine, range(5), events=(EVENTS,))
    return engine


def test_what_was_loaded_is_read_to_the_last_microsecond(book: Engine) -> None:
    outcome = load(book, (2, NOON, 1.5), (1, NOON + 1, None), (1, NOON, 0.1))
    assert outcome == EventLoadOutcome(loaded=3, replaced=0, records=2, total=3)
    check_all_events(book, DEFINITION)
    events = read_all_events(book)
    assert events[EVENT_KEY].tolist() == [1, 1, 2]
    assert events[EVENT_AT].tolist() == [NOON, NOON + 1, NOON]
    assert events["amount"].isna().tolist() == [False, True, False]
    assert events["shop name"].tolist()[2] == 'a "quoted" shop, and\nmore'
    assert events["shop name"].isna().tolist() == [False, True, False]


def test_a_new_table_has_an_index_on_key_and_time_and_a_load_into_it_adds_none(book: Engine) -> None:
    load(book, (1, NOON, 1))
    load(book, (2, NOON, 1))
    for _ in range(2):
        [index] = inspect(book).get_indexes("bookings")
        assert index["column_names"] == ["customer", "at", "tidemark_row"]
        load(book, (2, NOON, 1), mode=REPLACE)


def test_events_of_records_that_have_some_need_an_answer(book: Engine) -> None:
    load(book, (1, NOON, 1), (2, NOON, 2))
    with pytest.raises(SourceError, match=r"events of 1 record of the file. Load with --append .* --by-record"):
        load(book, (2, NOON + 1, 3), (3, NOON, 4))
    assert amounts(book) == [1, 2]
    assert load(book, (3, NOON, 4)).total == 3


def test_appended_events_come_after_those_of_the_same_time(book: Engine) -> None:
    load(book, (1, NOON, 1), (1, NOON, 2))
    assert load(book, (1, NOON, 3), (1, NOON - 1, 4), mode=APPEND).replaced == 0
    assert amounts(book) == [4, 1, 2, 3]


def test_by_record_replaces_the_events_of_the_file_s_records_alone(book: Engine) -> None:
    load(book, (1, NOON, 1), (1, NOON, 2), (2, NOON, 3))
    for _ in range(2):  # loading the same file again changes nothing
        outcome = load(book, (1, NOON, 5), (1, NOON, 6), mode=BY_RECORD)
        assert (outcome.replaced, outcome.total, amounts(book)) == (2, 3, [5, 6, 3])


def test_replace_makes_the_table_anew(book: Engine) -> None:
    load(book, (1, NOON, 1), (2, NOON, 2))
    assert load(book, (3, NOON, 3), mode=REPLACE).total == 1
    assert amounts(book) == [3]


def test_a_trial_counts_and_stores_nothing(book: Engine) -> None:
    assert load(book, (1, NOON, 1), is_trial=True).loaded == 1
    assert not inspect(book).has_table("bookings")
    load(book, (1, NOON, 1))
    assert load(book, (1, NOON, 2), (2, NOON, 3), mode=BY_RECORD, is_trial=True).replaced == 1
    assert load(book, (4, NOON, 2), mode=REPLACE, is_trial=True).total == 1
    assert amounts(book) == [1]


def test_a_failed_load_leaves_the_table_as_it_was(book: Engine) -> None:
    load(book, (1, NOON, 1))

    def broken() -> Iterator[pd.DataFrame]:
        yield frame_of((1, NOON, 2))
        raise ValueError("the file ends here")

    with pytest.raises(ValueError, match="ends here"):
        load_events(book, EventLoad(DEFINITION, EVENTS, "integer", BY_RECORD), broken())
    assert amounts(book) == [1]


@pytest.mark.parametrize("keys", [["a", "b"], ["007", "7"]])
def test_the_key_has_the_type_of_the_records_key(engine: Engine, keys: Sequence[str]) -> None:
    load_book(engine, keys, key_type="text", events=(EVENTS,))
    load(engine, *((key, NOON, row) for row, key in enumerate(keys)), key_type="text")
    check_all_events(engine, DEFINITION)
    assert read_all_events(engine, '"zz"')[EVENT_KEY].tolist() == keys


def test_keys_that_are_uuids_are_compared_as_such(engine: Engine) -> None:
    kind = "UUID" if engine.dialect.name == "postgresql" else "TEXT"
    keys = [str(uuid.UUID(int=number * 7919)) for number in (3, 1, 2)]
    with writing(engine) as connection:
        connection.execute(text(f"CREATE TABLE theirs (id {kind}, amount DOUBLE PRECISION, colour TEXT)"))
    definition = book_definition(source="theirs", events=(EVENTS,))
    save_portfolio(engine, definition, who="test")
    frames = [frame_of(*((key, NOON, 1.0) for key in keys))]
    load_events(engine, EventLoad(definition, EVENTS, "text", who="test"), frames)
    check_all_events(engine, definition)
    assert read_all_events(engine, f'"{keys[2]}"')[EVENT_KEY].tolist() == sorted(keys)[:2]


def test_whole_numbers_become_text_where_the_records_have_text_keys(engine: Engine) -> None:
    load_book(engine, ["7", "8"], key_type="text", events=(EVENTS,))
    load(engine, (7, NOON, 1))
    check_all_events(engine, DEFINITION)
    assert read_all_events(engine, '"8"')[EVENT_KEY].tolist() == ["7"]


def test_text_keys_do_not_fit_records_with_whole_numbers(book: Engine) -> None:
    with pytest.raises(KeyTypeError, match="integer keys"):
        load(book, ("a", NOON, 1), key_type="text")


def test_events_that_come_after_their_night_are_told(book: Engine) -> None:
    load(book, (1, NOON - DAY, 1))
    add_model(book)
    start_scoring(book, options={"night": "2026-11-24"})
    claimed = claim(book)
    complete_scored_shard(book, claimed, result_for(book, claimed), worker="w1")
    outcome = load(book, (2, NOON, 2), (2, NOON + DAY, 3), (3, NOON - DAY, 4))
    assert (outcome.late, outcome.night) == (2, "2026-11-24")
    again = load(book, (1, NOON - DAY, 1), (1, NOON, 5), (1, NOON + DAY, 6), mode=BY_RECORD)
    assert again.late == 1
    told = [one.why for one in list_portfolio_events(book, BOOK, only=LATE)]
    assert told == [
        "1 event of bookings: the night of 2026-11-24 had not seen them",
        "2 events of bookings: the night of 2026-11-24 had not seen them",
    ]


def test_an_erased_person_s_events_are_gone_and_proven_so(book: Engine) -> None:
    load(book, (1, NOON, 1), (1, NOON, 2), (2, NOON, 3))
    erasure = erase_record(book, Person(BOOK, "1"), who="test")
    assert (erasure.is_proven, erasure.erased["bookings"], erasure.left["bookings"]) == (True, 2, 0)
    assert read_all_events(book)[EVENT_KEY].tolist() == [2]


def test_a_person_erased_while_the_load_runs_is_left_out(book: Engine) -> None:
    if book.dialect.name == "sqlite":
        pytest.skip("SQLite has one writer: an erasure waits for the load")

    def interrupted() -> Iterator[pd.DataFrame]:
        yield frame_of((1, NOON, 1), (2, NOON, 2))
        erase_record(book, Person(BOOK, "1"), who="test")

    outcome = load_events(book, EventLoad(DEFINITION, EVENTS, "integer", who="test"), interrupted())
    assert (outcome.loaded, amounts(book)) == (1, [2])


def test_a_table_of_somebody_else_is_neither_changed_nor_dropped(book: Engine) -> None:
    with writing(book) as connection:
        connection.execute(text("CREATE TABLE theirs (customer INTEGER, at TIMESTAMP, kind TEXT)"))
    events = EventsDefinition("bookings", "theirs", "customer", "at", type="kind")
    definition = book_definition(events=(events,))
    grant_source(book, BOOK, "theirs", who="test")
    for mode in (APPEND, REPLACE):
        with pytest.raises(SourceError, match="not by Tidemark: nothing is loaded into it"):
            load_events(book, EventLoad(definition, events, "integer", mode), [])


def test_an_older_table_that_lacks_a_column_is_told_with_what_to_do(book: Engine) -> None:
    load(book, (1, NOON, 1))
    wider = EventsDefinition("bookings", "bookings", "customer", "at", type="place")
    with pytest.raises(SourceError, match=r"lacks the columns place.*--replace"):
        load_events(book, EventLoad(book_definition(events=(wider,)), wider, "integer", APPEND), [])


def test_the_log_counts_events_and_holds_no_key(book: Engine) -> None:
    load(book, (4, NOON, 1))
    with reading(book) as connection:
        logged = connection.execute(text("SELECT why FROM tidemark_events WHERE event = 'events.loaded'")).scalars()
        assert logged.all() == ["1 event of bookings, 0 replaced"]


def test_a_file_without_events_loads_none(book: Engine) -> None:
    assert load_events(book, EventLoad(DEFINITION, EVENTS, "integer"), []).total == 0
    with reading(book) as connection:
        assert connection.execute(text("SELECT count(*) FROM bookings")).scalar_one() == 0
