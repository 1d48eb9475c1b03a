"""Examines a sample of one column and guesses how a portfolio should read it, with the reason in words."""

# pyarrow.compute makes its functions at run time, so their names are unknown before.
# pyright: reportAttributeAccessIssue=false

import re
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as arrow_types

from db.events.wording import counted
from scheduler.data_files.column_cleaning import clean_texts, flatten, is_number, is_text, read_numbers

Floats = npt.NDArray[np.float64]

# Names of whole numbers that are labels rather than amounts.
_CODE_WORDS = frozenset(
    (
        "sex",
        "gender",
        "education",
        "marriage",
        "marital",
        "region",
        "state",
        "country",
        "status",
        "type",
        "code",
        "class",
        "category",
        "product",
        "branch",
        "segment",
        "purpose",
        "housing",
        "job",
        "occupation",
        "profession",
        "employment",
        "channel",
        "race",
        "ethnicity",
    )
)
_CODE_VALUES = 20
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_DATE = r"^([0-9]{4}-[0-9]{1,2}-[0-9]{1,2}|[0-9]{1,2}[./-][0-9]{1,2}[./-][0-9]{4})([ T].*)?$"
_LOW_CODES = (-99999.0, -9999.0, -999.0, -99.0, -9.0, -8.0, -7.0, -1.0)
_HIGH_CODES = (96.0, 97.0, 98.0, 99.0, 996.0, 997.0, 998.0, 999.0, 9999.0, 99999.0, 999999.0, 9999999.0)


class Guess(StrEnum):
    """The guessed kind of a column; `LEFT_OUT` columns contain nothing that a network could learn."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"
    LEFT_OUT = "left out"


@dataclass(frozen=True)
class ColumnProfile:
    """A guess about one column. `values` are its numbers, None for a column that holds texts or dates.

    `missing_texts` are rare texts in a column of numbers, read as "not known".
    """

    name: str
    guess: Guess
    reason: str
    values: Floats | None = None
    missing_texts: tuple[str, ...] = ()
    is_date: bool = False


def profile_column(name: str, column: pa.ChunkedArray) -> ColumnProfile:
    """Guess the kind of one column."""
    array = flatten(column)
    if is_text(array.type):
        return _profile_texts(name, clean_texts(array))
    if arrow_types.is_boolean(array.type):
        return ColumnProfile(name, Guess.CATEGORICAL, f"true or false; {_tell_missing(array)}")
    if is_number(array.type):
        return _profile_numbers(name, read_numbers(array).values)
    if arrow_types.is_date(array.type) or arrow_types.is_timestamp(array.type):
        return ColumnProfile(name, Guess.LEFT_OUT, "dates", is_date=True)
    return ColumnProfile(name, Guess.LEFT_OUT, f"holds {array.type}, which is neither a number nor text")


def guess_missing_codes(values: Floats) -> dict[int, float]:
    """Return special numbers such as -9 or 9999 that are far from the rest and frequent, with their shares.

    Low codes count when all other values are 0 or more; high ones when they are at least twice the largest other
    value. Frequent: at least 3 rows and 0.1 % of them.
    """
    known = values[np.isfinite(values)]
    rest = known[~np.isin(known, (*_LOW_CODES, *_HIGH_CODES))]
    if not rest.size:
        return {}
    low = [code for code in _LOW_CODES if rest.min() >= 0]
    high = [code for code in _HIGH_CODES if code >= 2 * max(rest.max(), 1)]
    counts = {int(code): int((known == code).sum()) for code in (*low, *high)}
    return {code: count / values.size for code, count in counts.items() if count >= max(3, values.size / 1000)}


def _profile_texts(name: str, texts: pa.Array) -> ColumnProfile:
    known = len(texts) - texts.null_count
    if not known:
        return ColumnProfile(name, Guess.LEFT_OUT, "no row has a value", values=np.full(len(texts), np.nan))
    numbers = read_numbers(texts)
    wrong = sorted(set(numbers.unreadable.values()))
    if len(numbers.unreadable) <= 0.05 * known and len(wrong) <= 3:
        return _profile_numbers(name, numbers.values, tuple(wrong))
    if pc.sum(pc.match_substring_regex(texts, _DATE)).as_py() >= 0.95 * known:
        return ColumnProfile(name, Guess.LEFT_OUT, "dates", is_date=True)
    distinct = pc.count_distinct(texts).as_py()
    if distinct == 1 and known == len(texts):
        return ColumnProfile(name, Guess.LEFT_OUT, "every row has the same text")
    if known > 20 and distinct > known / 2:
        return ColumnProfile(
            name, Guess.LEFT_OUT, f"nearly every row has its own text ({counted(distinct, 'different value')})"
        )
    return ColumnProfile(
        name, Guess.CATEGORICAL, f"texts, {counted(distinct, 'different value')}; {_tell_missing(texts)}"
    )


def _profile_numbers(name: str, values: Floats, missing_texts: tuple[str, ...] = ()) -> ColumnProfile:
    known = values[~np.isnan(values)]
    guess, reason = _judge_numbers(name, known, values.size)
    return ColumnProfile(name, guess, reason, values, missing_texts)


def _judge_numbers(name: str, known: Floats, rows: int) -> tuple[Guess, str]:
    if not known.size:
        return Guess.LEFT_OUT, "no row has a value"
    distinct = np.unique(known)
    if distinct.size == 1 and known.size == rows:
        return Guess.LEFT_OUT, f"every row has the same number, {distinct[0]:g}"
    words = {word.lower() for word in _WORD.findall(name)}
    is_whole = bool(np.all(np.isfinite(distinct)) and np.all(distinct == np.round(distinct)))
    if is_whole and "id" in words and distinct.size > 0.99 * known.size:
        return Guess.LEFT_OUT, "every row has its own number: probably another key"
    missing = _tell_share(1 - known.size / rows)
    if is_whole and distinct.size <= _CODE_VALUES and words & _CODE_WORDS:
        return Guess.CATEGORICAL, f"{distinct.size} whole numbers; the column name suggests labels; {missing}"
    values = counted(distinct.size, "different value")
    reason = f"numbers from {distinct[0]:.10g} to {distinct[-1]:.10g}, {values}; {missing}"
    if is_whole and 2 < distinct.size <= 10:
        return Guess.NUMERIC, f'{reason}; if they are labels without an order, write "categorical"'
    return Guess.NUMERIC, reason


def _tell_missing(array: pa.Array) -> str:
    return _tell_share(array.null_count / max(len(array), 1))


def _tell_share(share: float) -> str:
    return f"{share:.2%} missing" if share else "none missing"
