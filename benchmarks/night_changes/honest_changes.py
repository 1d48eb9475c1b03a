"""Forty honest changes of a business, none of them a reason to hold a night's scores back."""

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.random import Generator

from benchmarks.night_changes.books import Book
from benchmarks.night_changes.changes import Apply, Change, Changed, add, amount_of, draw, names_of, put, scale, take
from benchmarks.night_changes.nights import Night


def _higher_limit(share: float, factor: float) -> Apply:
    """The largest amounts grow, as where a lender raised its largest loan."""

    def apply(night: Night, book: Book, random: Generator) -> Changed:
        column = amount_of(book, random)
        values = night.records[column].astype("float64")
        is_large = values >= values.quantile(1 - share)
        growth = 1 + (factor - 1) * random.random(len(values))
        return put(night, column, values.where(~is_large, values * growth))

    return apply


def _scaled(factor: float, share: float = 1.0) -> Apply:
    return lambda night, book, random: scale(night, amount_of(book, random), factor, share, random)


def _inflation(years: int) -> Apply:
    def apply(night: Night, book: Book, random: Generator) -> Changed:
        growth = random.normal(1.1**years, 0.02, len(night.keys))
        grown = {one: night.records[one].astype("float64") * growth for one in book.roles.amounts}
        return Changed(replace(night, records=night.records.assign(**grown)), book.roles.amounts)

    return apply


def _rounded(to: int) -> Apply:
    """Amounts are rounded to so many steps over their usual range."""

    def apply(night: Night, book: Book, random: Generator) -> Changed:
        column = amount_of(book, random)
        values = night.records[column].astype("float64")
        step = (values.quantile(0.95) - values.quantile(0.05)) / to
        return put(night, column, (values / step).round() * step)

    return apply


def _minimum_raised(night: Night, book: Book, random: Generator) -> Changed:
    column = amount_of(book, random)
    values = night.records[column].astype("float64")
    return put(night, column, values.clip(lower=float(values.quantile(0.12))))


def _new_names(share: float, *names: str) -> Apply:
    def apply(night: Night, book: Book, random: Generator) -> Changed:
        column = names_of(book, random)
        is_new = random.random(len(night.keys)) < share
        chosen = random.choice(np.array(names, dtype=object), len(night.keys))
        return put(night, column, night.records[column].where(~is_new, pd.Series(chosen, dtype="object")))

    return apply


def _new_product(night: Night, book: Book, random: Generator) -> Changed:
    """A product with a name of its own and amounts three times as large."""
    column, amount = book.roles.names[0], amount_of(book, random)
    is_new = random.random(len(night.keys)) < 0.15
    amounts = night.records[amount].astype("float64")
    records = night.records.assign(
        **{column: night.records[column].mask(is_new, "leasing"), amount: amounts.mask(is_new, amounts * 3)}
    )
    return Changed(replace(night, records=records), (column, amount))


def _mix(places: tuple[int, ...], factor: float) -> Apply:
    """Records of some of the names, in the order of their frequency, become more or fewer."""

    def apply(night: Night, book: Book, random: Generator) -> Changed:
        names = night.records[names_of(book, random)]
        order = names.value_counts().index
        chosen = [order[place] for place in places if -len(order) <= place < len(order)]
        return draw(night, pd.Series(np.where(names.isin(chosen), factor, 1.0)), random)

    return apply


def _towards(role: str, strength: float) -> Apply:
    """Records with high (or, below 0, low) values of a column become more: exp(strength) for each deviation."""

    def apply(night: Night, book: Book, random: Generator) -> Changed:
        column = book.roles.age if role == "age" else amount_of(book, random)
        values = night.records[column].astype("float64")
        ranks = values.fillna(values.median()).rank(pct=True)
        return draw(night, pd.Series(np.exp(strength * (ranks - 0.5) * 2)), random)

    return apply


def _merged(share: float, factor: float, *, lacks_optional: bool = False) -> Apply:
    """A bought book comes in under its own keys, with amounts of another level."""

    def apply(night: Night, book: Book, random: Generator) -> Changed:
        own = len(night.keys)
        merged = add(night, random.integers(0, own, round(own * share)), "bought-").night
        is_bought = np.arange(len(merged.keys)) >= own
        records = merged.records
        for column in book.roles.amounts:
            values = records[column].astype("float64")
            records = records.assign(**{column: values.mask(is_bought, values * factor)})
        if lacks_optional:
            optional = records[book.roles.optional].astype("float64")
            records = records.assign(**{book.roles.optional: optional.mask(is_bought)})
        return Changed(replace(merged, records=records))

    return apply


def _grown(night: Night, book: Book, random: Generator) -> Changed:
    assert book.name
    return add(night, random.integers(0, len(night.keys), round(0.3 * len(night.keys))))


def _closed(night: Night, book: Book, random: Generator) -> Changed:
    assert book.name
    return take(night, random.random(len(night.keys)) > 0.15)


def _season(night: Night, book: Book, random: Generator) -> Changed:
    """December: amounts a quarter higher, and more spread."""
    column = amount_of(book, random)
    return put(night, column, night.records[column].astype("float64") * random.normal(1.25, 0.1, len(night.keys)))


def _idle_season(night: Night, book: Book, random: Generator) -> Changed:
    """A twentieth of the customers did nothing this month."""
    column = amount_of(book, random)
    values = night.records[column].astype("float64")
    return put(night, column, values.mask(random.random(len(values)) < 0.05, 0.0))


def _warmer(night: Night, book: Book, random: Generator) -> Changed:
    column = amount_of(book, random)
    values = night.records[column].astype("float64")
    return put(night, column, values + values.std())


def _blank_half(share: float) -> Apply:
    """A form asks an optional question no longer."""

    def apply(night: Night, book: Book, random: Generator) -> Changed:
        column = book.roles.optional
        return put(night, column, night.records[column].mask(random.random(len(night.keys)) < share))

    return apply


def _all_answer(night: Night, book: Book, random: Generator) -> Changed:
    """A form insists on an answer: what was blank is now filled with ordinary values."""
    column = book.roles.optional
    values = night.records[column].astype("float64")
    answers = random.choice(values.dropna().to_numpy(), len(values))
    return put(night, column, values.fillna(pd.Series(answers)))


def _noise(share: float, offset: float = 0.0) -> Apply:
    def apply(night: Night, book: Book, random: Generator) -> Changed:
        column = amount_of(book, random)
        values = night.records[column].astype("float64")
        return put(night, column, values * (1 + offset) + random.normal(0, share, len(values)) * values.std())

    return apply


def _tiers(night: Night, book: Book, random: Generator) -> Changed:
    """A tariff has twelve levels from now on."""
    column = amount_of(book, random)
    values = night.records[column].astype("float64")
    levels = values.quantile(np.linspace(0.04, 0.96, 12)).to_numpy()
    return put(night, column, levels[np.abs(values.fillna(0).to_numpy()[:, None] - levels).argmin(axis=1)])


def _recession(night: Night, book: Book, random: Generator) -> Changed:
    """Amounts shrink by 15 %, and small ones become more."""
    shrunk = {one: night.records[one].astype("float64") * 0.85 for one in book.roles.amounts}
    smaller = replace(night, records=night.records.assign(**shrunk))
    ranks = night.records[book.roles.amounts[0]].rank(pct=True).fillna(0.5)
    return replace(draw(smaller, pd.Series(np.exp(1 - 2 * ranks)), random), touched=book.roles.amounts)


def _stricter(night: Night, book: Book, random: Generator) -> Changed:
    """The tenth with the highest amounts is no longer taken."""
    values = night.records[amount_of(book, random)].astype("float64")
    return take(night, (values <= values.quantile(0.9)).to_numpy() | values.isna().to_numpy())


def _older(night: Night, book: Book, _: Generator) -> Changed:
    """The same customers a year later: the time column is a twentieth further."""
    values = night.records[book.roles.age].astype("float64")
    reach = float(values.quantile(0.95) - values.quantile(0.05))
    return put(night, book.roles.age, values + 0.05 * reach)


HONEST = (
    Change("largest amount raised by 40 %", _higher_limit(0.12, 1.4)),
    Change("largest amounts doubled for a fifth", _higher_limit(0.2, 2.0)),
    Change("amounts 50 % higher for all", _scaled(1.5)),
    Change("a wage rise of 15 %", _scaled(1.15)),
    Change("prices fall by 20 %", _scaled(0.8)),
    Change("small loans for 15 %", _scaled(0.25, 0.15)),
    Change("loans five times as large for 10 %", _scaled(5.0, 0.1)),
    Change("loans three times as large for a quarter", _scaled(3.0, 0.25)),
    Change("a few very large customers", _scaled(50.0, 0.01)),
    Change("a new product with its own name and amounts", _new_product),
    Change("minimum amount raised", _minimum_raised),
    Change("rounded to 100 steps", _rounded(100)),
    Change("rounded to 30 steps", _rounded(30)),
    Change("twelve levels of a tariff", _tiers),
    Change("inflation of 10 % for one year", _inflation(1)),
    Change("inflation of 10 % for two years", _inflation(2)),
    Change("inflation of 10 % for three years", _inflation(3)),
    Change("a new category of 5 %", _new_names(0.05, "Nordland")),
    Change("a new category of 15 %", _new_names(0.15, "Nordland")),
    Change("a new category of 30 %", _new_names(0.30, "Nordland")),
    Change("three new categories of 10 % each", _new_names(0.30, "Nordland", "Isle of Man", "Gibraltar")),
    Change("the commonest category twice as common", _mix((0,), 2.0)),
    Change("a rare category five times as common", _mix((-1,), 5.0)),
    Change("the second category sold", _mix((1,), 0.05)),
    Change("a bought book of 30 %", _merged(0.3, 1.2)),
    Change("a bought book of 60 %, amounts half as large again", _merged(0.6, 1.5)),
    Change("a bought book of 25 % without the optional field", _merged(0.25, 1.1, lacks_optional=True)),
    Change("growth of the book by 30 %", _grown),
    Change("15 % of the customers leave", _closed),
    Change("the tenth with the highest amounts leaves", _stricter),
    Change("a December", _season),
    Change("a twentieth inactive this month", _idle_season),
    Change("one deviation up, as a summer", _warmer),
    Change("younger customers", _towards("age", -1.0)),
    Change("the same customers a year later", _older),
    Change("a campaign for large amounts", _towards("amount", 1.0)),
    Change("a recession", _recession),
    Change("an optional field asked of half as many", _blank_half(0.5)),
    Change("an optional field is obligatory", _all_answer),
    Change("a new sensor: 3 % more noise, 2 % higher", _noise(0.03, 0.02)),
)
