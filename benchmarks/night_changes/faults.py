"""Forty faults of a pipeline, each as a source, a join or an export has made it somewhere."""

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.random import Generator

from benchmarks.night_changes.books import Book
from benchmarks.night_changes.changes import (
    Apply,
    Change,
    Changed,
    amount_of,
    names_of,
    put,
    scale,
    take,
)
from benchmarks.night_changes.nights import Night

EXCEL_TO_UNIX_DAYS = 25_569.0


def _scaled(factor: float, share: float = 1.0) -> Apply:
    return lambda night, book, random: scale(night, amount_of(book, random), factor, share, random)


def _sign_flipped(night: Night, book: Book, random: Generator) -> Changed:
    column = amount_of(book, random)
    return put(night, column, -night.records[column])


def _as_seconds(night: Night, book: Book, random: Generator) -> Changed:
    column = book.roles.age
    return put(night, column, night.records[column] * 86_400.0 + random.integers(0, 86_400, len(night.keys)))


def _other_origin(night: Night, book: Book, _: Generator) -> Changed:
    return put(night, book.roles.age, night.records[book.roles.age] + EXCEL_TO_UNIX_DAYS)


def _as_logarithm(night: Night, book: Book, random: Generator) -> Changed:
    column = amount_of(book, random)
    return put(night, column, np.log1p(night.records[column].clip(lower=0.0)))


def _empty(night: Night, book: Book, random: Generator) -> Changed:
    return put(night, amount_of(book, random), np.nan)


def _names_empty(night: Night, book: Book, random: Generator) -> Changed:
    return put(night, names_of(book, random), None)


def _join_failed(share: float) -> Apply:
    def apply(night: Night, book: Book, random: Generator) -> Changed:
        columns = [*book.roles.amounts, book.roles.age]
        is_lost = random.random(len(night.keys)) < share
        records = night.records.assign(**{one: night.records[one].astype("float64").mask(is_lost) for one in columns})
        return Changed(replace(night, records=records), columns)

    return apply


def _filled(value: float | None, share: float = 1.0) -> Apply:
    """A share of an amount gets one value; None: the median, as where a sensor is stuck."""

    def apply(night: Night, book: Book, random: Generator) -> Changed:
        column = amount_of(book, random)
        values = night.records[column].astype("float64")
        is_filled = random.random(len(values)) < share
        return put(night, column, values.mask(is_filled, values.median() if value is None else value))

    return apply


def _names_filled(name: str | None) -> Apply:
    """Every record gets one name; None: the commonest."""

    def apply(night: Night, book: Book, random: Generator) -> Changed:
        column = names_of(book, random)
        return put(night, column, night.records[column].mode()[0] if name is None else name)

    return apply


def _missing_as(value: float) -> Apply:
    return lambda night, book, _: put(night, book.roles.optional, night.records[book.roles.optional].fillna(value))


def _decimal_comma(night: Night, book: Book, random: Generator) -> Changed:
    column = amount_of(book, random)
    return put(night, column, night.records[column].map(lambda value: f"{value:,.2f}".translate({44: 46, 46: 44})))


def _with_unit(night: Night, book: Book, random: Generator) -> Changed:
    column = amount_of(book, random)
    has_unit = random.random(len(night.keys)) < 0.3
    values = night.records[column].astype("object")
    return put(night, column, values.where(~has_unit, values.map(lambda value: f"{value} EUR")))


def _other_case(night: Night, book: Book, random: Generator) -> Changed:
    column = names_of(book, random)
    return put(night, column, night.records[column].str.upper())


def _case_of_one_branch(night: Night, book: Book, random: Generator) -> Changed:
    column = names_of(book, random)
    names = night.records[column]
    return put(night, column, names.where(random.random(len(names)) < 0.75, names.str.upper()))


def _quoted(night: Night, book: Book, random: Generator) -> Changed:
    column = names_of(book, random)
    return put(night, column, '"' + night.records[column] + '"')


def _underscores(night: Night, book: Book, random: Generator) -> Changed:
    column = names_of(book, random)
    return put(night, column, night.records[column].str.replace(" ", "_") + "_")


def _code_numbers(night: Night, book: Book, random: Generator) -> Changed:
    column = names_of(book, random)
    ids, _ = pd.factorize(night.records[column], sort=True)
    return put(night, column, pd.Series(ids + 1).astype("object"))


def _initials(night: Night, book: Book, random: Generator) -> Changed:
    column = names_of(book, random)
    return put(night, column, night.records[column].str[:3])


def _other_code_list(night: Night, book: Book, random: Generator) -> Changed:
    column = names_of(book, random)
    return put(night, column, night.records[column].map(lambda name: f"Q{sum(map(ord, str(name))) % 97}x"))


def _one_name_renamed(night: Night, book: Book, random: Generator) -> Changed:
    column = names_of(book, random)
    return put(night, column, night.records[column].replace({night.records[column].mode()[0]: "standard case"}))


def _codes_exchanged(night: Night, book: Book, random: Generator) -> Changed:
    column = names_of(book, random)
    first, last = night.records[column].value_counts().index[[0, -1]]
    if (night.records[column] == last).mean() < 0.02:
        last = night.records[column].value_counts().index[1]
    return put(night, column, night.records[column].replace({first: last, last: first}))


def _swapped(night: Night, book: Book, _: Generator) -> Changed:
    one, other = book.roles.amounts[:2]
    records = night.records.assign(**{one: night.records[other], other: night.records[one]})
    return Changed(replace(night, records=records), (one, other))


def _shifted(night: Night, book: Book, _: Generator) -> Changed:
    """The numbers of a line move one column to the right, as after a separator too many."""
    columns = [one.name for one in book.schema.fields if one.kind == "numeric"][:4]
    moved = {one: night.records[before] for one, before in zip(columns, columns[-1:] + columns[:-1], strict=True)}
    return Changed(replace(night, records=night.records.assign(**moved)), columns)


def _stale_copy(night: Night, book: Book, _: Generator) -> Changed:
    one, other = book.roles.amounts[:2]
    changed = put(night, one, night.records[other])
    return replace(changed, touched=(one, other))


def _rows_missing(share: float) -> Apply:
    def apply(night: Night, book: Book, random: Generator) -> Changed:
        assert book.name
        rows = np.arange(len(night.keys))
        start = int(random.integers(0, 1 + int(len(rows) * share)))
        return take(night, (rows < start) | (rows >= start + share * len(rows)))

    return apply


def _doubled(night: Night, book: Book, random: Generator) -> Changed:
    assert book.name
    assert random
    keys = np.concatenate([night.keys, "0" + night.keys])
    return Changed(replace(night, records=pd.concat([night.records] * 2, ignore_index=True), keys=keys))


def _other_keys(night: Night, book: Book, _: Generator) -> Changed:
    return Changed(replace(night, keys=f"{book.name}/" + night.keys))


def _older_weights(night: Night, book: Book, random: Generator) -> Changed:
    assert book.name
    moves = random.normal(0.0, 0.02, 100)
    return Changed(replace(night, arithmetic=lambda scores: np.clip(scores + moves, 0.0, 1.0)))


def _other_order(night: Night, book: Book, random: Generator) -> Changed:
    assert book.name
    assert random
    return Changed(replace(night, arithmetic=lambda scores: scores.astype(np.float16).astype(np.float64)))


FAULTS = (
    Change("cents for whole units", _scaled(100.0)),
    Change("units for thousands", _scaled(1000.0)),
    Change("whole units for cents", _scaled(0.01)),
    Change("decimal point one place to the right", _scaled(10.0)),
    Change("cents in a third of the records", _scaled(100.0, 0.33)),
    Change("pounds for kilograms", _scaled(2.2046)),
    Change("sign flipped", _sign_flipped),
    Change("days as seconds since 1970", _as_seconds),
    Change("days counted from another origin", _other_origin),
    Change("an amount as its logarithm", _as_logarithm),
    Change("a column of numbers empty", _empty),
    Change("a column of names empty", _names_empty),
    Change("a join fails for all", _join_failed(1.0)),
    Change("a join fails for a third", _join_failed(0.33)),
    Change("stuck at one ordinary value", _filled(None)),
    Change("-1 in a third of the records", _filled(-1.0, 0.33)),
    Change("0 in a third of the records", _filled(0.0, 0.33)),
    Change("all names UNKNOWN", _names_filled("UNKNOWN")),
    Change("all names the commonest", _names_filled(None)),
    Change("missing coded as 0", _missing_as(0.0)),
    Change("missing coded as 9999999", _missing_as(9_999_999.0)),
    Change("decimal comma", _decimal_comma),
    Change("numbers with their unit in 30 %", _with_unit),
    Change("names in capitals", _other_case),
    Change("names in another case in a quarter of the records", _case_of_one_branch),
    Change("names in quotes", _quoted),
    Change("names padded with underscores", _underscores),
    Change("code numbers for names", _code_numbers),
    Change("names cut to three letters", _initials),
    Change("another code list", _other_code_list),
    Change("one name renamed", _one_name_renamed),
    Change("two codes exchanged", _codes_exchanged),
    Change("two columns swapped", _swapped),
    Change("four columns shifted by one", _shifted),
    Change("a column holds another one's values", _stale_copy),
    Change("half of the rows missing", _rows_missing(0.5)),
    Change("every record twice, under new keys", _doubled),
    Change("keys in another form", _other_keys),
    Change("another model's weights", _older_weights),
    Change("arithmetic of half the precision", _other_order),
)
