"""Event tables of a portfolio file: what is read, and which words each mistake gets."""

import pytest

from db.portfolios.definition import EventsDefinition, FieldDefinition, FieldKind, PortfolioDefinition
from scheduler.portfolio_files.problems import PortfolioFileError
from scheduler.portfolio_files.reader import parse_portfolio

TOP = 'name = "book"\nkey = "id"\n'
AT = '[events.bookings]\nat = "booked_at"\n'
WHOLE = """
name = "book"
key = "id"
target = "bad"
moment = "cut_off"
[events.bookings]
source = "bank.bookings"
key = "customer_id"
at = "booked_at"
type = "kind"
window = "2 weeks"
most = 64
[events.bookings.fields.amount]
kind = "numeric"
missing_codes = [-1]
[events.bookings.fields."shop.name"]
kind = "categorical"
[events.bookings.reasons]
cash = "Cash withdrawals"
count = "Number of bookings"
"""
MISTAKES = {
    "no time": (f'{TOP}[events.b]\nkey = "x"', "events.b.at: expected the name of the column with the time of an"),
    "an unknown key": (f'{TOP}{AT}wndow = "1 day"', "events.bookings.wndow: unknown key; expected one of source"),
    "its nearest name": (f'{TOP}{AT}wndow = "1 day"', 'did you mean "window"?'),
    "a window without a unit": (f"{TOP}{AT}window = 30", "f.toml:5: events.bookings.window: expected a time above 0"),
    "a window of nothing": (f'{TOP}{AT}window = "0 days"', 'such as "730 days" or "2 years", got "0 days"'),
    "a sequence of none": (f"{TOP}{AT}most = 0", "events.bookings.most: expected a whole number from 1 to 4096, got 0"),
    "a sequence too long": (f"{TOP}{AT}most = 4097", "a whole number from 1 to 4096, got 4097"),
    "a sequence that is true": (f"{TOP}{AT}most = true", "a whole number from 1 to 4096, got true"),
    "a name with capitals": (f'{TOP}[events.Calls]\nat = "t"', "lower-case letters, digits and _, starting with a"),
    "a name with a dot": (f'{TOP}[events."a.b"]\nat = "t"', 'as the events\' name, got "a.b"'),
    "no section": (f"{TOP}events.calls = 5", "events.calls: expected a section [events.calls], got 5"),
    "the records' own source": (
        f'{TOP}source = "s"\n{AT}source = "S"',
        'events.bookings.source: expected a table of its own for the events, got "S", which holds the records',
    ),
    "a source of three parts": (f'{TOP}{AT}source = "a.b.c"', 'expected "table" or "schema.table", got "a.b.c"'),
    "a field that starts with the name": (
        f'{TOP}[fields."bookings.sum"]\nkind = "numeric"\n{AT}',
        'events.bookings: a column of the records starts with this name: "bookings.sum"',
    ),
    "a target without a moment": (
        f'{TOP}target = "bad"\n{AT}',
        "events: expected moment or as_of, the column that says when each record is judged",
    ),
    "why": (f'{TOP}target = "bad"\n{AT}', "else events later than a record's outcome would be learned from"),
    "the time as a field": (
        f'{TOP}{AT}[events.bookings.fields.booked_at]\nkind = "numeric"',
        'events.bookings.fields.booked_at: expected each column once, but "booked_at" is already used by '
        "events.bookings.at",
    ),
    "the records' key as a field": (
        f'{TOP}{AT}[events.bookings.fields.ID]\nkind = "numeric"',
        'expected each column once, but "ID" is already used by events.bookings.key',
    ),
    "a field without kind": (f"{TOP}{AT}[events.bookings.fields.amount]", 'fields.amount.kind: expected "numeric"'),
    "a reason that is no text": (f"{TOP}{AT}[events.bookings.reasons]\ncount = 5", "reasons.count: expected a text"),
    "the moment as a field": (
        f'{TOP}moment = "age"\n[fields.age]\nkind = "numeric"\n{AT}',
        'fields.age: expected each column once, but "age" is already used by moment',
    ),
}


def read(text: str) -> PortfolioDefinition:
    return parse_portfolio(text, "f.toml")


@pytest.mark.parametrize("case", MISTAKES)
def test_each_mistake_tells_place_expectation_and_what_came(case: str) -> None:
    text, expected = MISTAKES[case]
    with pytest.raises(PortfolioFileError) as caught:
        read(text)
    assert expected in str(caught.value)


def test_a_whole_table_is_read_and_comes_back_from_its_stored_text() -> None:
    definition = read(WHOLE)
    fields = (
        FieldDefinition("amount", FieldKind.NUMERIC, (-1.0,)),
        FieldDefinition("shop.name", FieldKind.CATEGORICAL),
    )
    reasons = (("cash", "Cash withdrawals"), ("count", "Number of bookings"))
    place = ("bookings", "bank.bookings", "customer_id", "booked_at", "kind")
    assert definition.events == (EventsDefinition(*place, 14.0, 64, fields, reasons),)
    assert (definition.moment, definition.moment_column, definition.input_columns) == ("cut_off", "cut_off", ())
    assert PortfolioDefinition.from_json(definition.to_json()) == definition


def test_events_alone_are_enough_and_have_defaults() -> None:
    [events] = read(f"{TOP}{AT}").events
    assert events == EventsDefinition("bookings", "bookings", "id", "booked_at")
    assert (events.window_days, events.most, events.columns) == (None, 256, ())


@pytest.mark.parametrize(
    ("window", "days"),
    [("730 days", 730), ("1 day", 1), ("2 weeks", 14), ("12 months", 365.25), ("1.5 years", 547.875)],
)
def test_a_window_is_told_in_days_weeks_months_or_years(window: str, days: float) -> None:
    [events] = read(f'{TOP}{AT}window = "{window}"').events
    assert events.window_days == pytest.approx(days)


def test_the_date_of_a_record_is_its_moment_unless_another_column_is_named() -> None:
    dated = read(f'{TOP}target = "bad"\nas_of = "day"\n{AT}')
    assert (dated.moment, dated.moment_column, dated.time_columns) == (None, "day", ("day",))
    both = read(f'{TOP}target = "bad"\nas_of = "day"\nmoment = "cut_off"\n{AT}')
    assert (both.moment_column, both.time_columns) == ("cut_off", ("day", "cut_off"))
    assert read(f'{TOP}as_of = "day"\nmoment = "day"\n{AT}').time_columns == ("day",)
