"""Converts columns of a data file, Arrow arrays, into numbers, categories, keys and dates in a fixed form.

The same rules hold for text files and Parquet: blanks around a value never matter, the texts of `MISSING_TEXTS` mean
"not known", and a category is the same text whether the file held 1, 1.0 or "1".
"""

# pyarrow.compute makes its functions at run time, so their names are unknown before.
# pyright: reportAttributeAccessIssue=false

import datetime
import decimal
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as arrow_types

MISSING_TEXTS = frozenset({"", "NA", "N/A", "NaN", "nan", "null", "NULL"})
INTEGER_KEY = r"^-?(0|[1-9][0-9]{0,17})$"

_SHOWN_TEXT = 80
# PostgreSQL holds no NUL in a text; one such value must not stop a load.
_NUL = ("\x00", "\ufffd")
_NUMBER = r"^[+-]?(([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|(?i:inf|infinity))$"
_WHOLE_NUMBER = re.compile(r"(-?(?:0|[1-9][0-9]*))\.0+")


@dataclass(frozen=True)
class Numbers:
    """A numeric column: float64, NaN where missing or unreadable; `unreadable` has the unreadable texts by position."""

    values: npt.NDArray[np.float64]
    unreadable: dict[int, str]


def is_text(kind: pa.DataType) -> bool:
    """Whether the type is one of Arrow's text types."""
    return arrow_types.is_string(kind) or arrow_types.is_large_string(kind) or arrow_types.is_string_view(kind)


def is_number(kind: pa.DataType) -> bool:
    """Whether every value of the type is a number; truth values count as 1 and 0."""
    checks = (arrow_types.is_integer, arrow_types.is_floating, arrow_types.is_decimal, arrow_types.is_boolean)
    return any(check(kind) for check in checks)


def flatten(column: pa.ChunkedArray) -> pa.Array:
    """Return one plain array: dictionaries decoded, NaN as missing, an untyped column as text."""
    kind = column.type
    if arrow_types.is_dictionary(kind):
        return flatten(column.cast(kind.value_type))
    if arrow_types.is_null(kind) or arrow_types.is_string_view(kind):
        column = column.cast(pa.string())
    elif arrow_types.is_floating(kind):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, kind), column)
    flat = column.combine_chunks()
    return pa.concat_arrays(flat.chunks) if isinstance(flat, pa.ChunkedArray) else flat


def clean_texts(array: pa.Array, missing: frozenset[str] = MISSING_TEXTS) -> pa.Array:
    """Return the texts without surrounding blanks, missing ones as null."""
    trimmed = pc.utf8_trim_whitespace(array)
    is_missing = pc.is_in(trimmed, value_set=pa.array(sorted(missing), trimmed.type))
    return pc.if_else(is_missing, pa.scalar(None, trimmed.type), trimmed)


def read_numbers(array: pa.Array, missing_texts: frozenset[str] = frozenset()) -> Numbers:
    """Read a numeric column. `missing_texts` are the portfolio's own texts for "not known"."""
    if not is_text(array.type):
        return Numbers(_as_floats(array.cast(pa.float64(), safe=False)), {})
    texts = clean_texts(array, MISSING_TEXTS | missing_texts)
    try:
        numbers = texts.cast(pa.float64())
    except pa.ArrowInvalid:
        return _read_one_by_one(texts)
    # Arrow also takes spellings such as "nan(x)" for a number; only the texts agreed on mean "not known".
    return _read_one_by_one(texts) if pc.any(pc.is_nan(numbers)).as_py() else Numbers(_as_floats(numbers), {})


def _as_floats(array: pa.Array) -> npt.NDArray[np.float64]:
    return np.array(array.to_numpy(zero_copy_only=False), dtype=np.float64)


def _read_one_by_one(texts: pa.Array) -> Numbers:
    """Read those texts that are numbers, and keep the others by position."""
    is_readable = pc.fill_null(pc.match_substring_regex(texts, _NUMBER), fill_value=False)
    mask = is_readable.to_numpy(zero_copy_only=False)
    values = np.full(len(texts), np.nan)
    values[mask] = _as_floats(texts.filter(is_readable).cast(pa.float64()))
    is_unreadable = pc.and_(pc.is_valid(texts), pc.invert(is_readable))
    positions = np.flatnonzero(is_unreadable.to_numpy(zero_copy_only=False)).tolist()
    wrong: list[str] = texts.filter(is_unreadable).to_pylist()
    return Numbers(values, {at: text[:_SHOWN_TEXT] for at, text in zip(positions, wrong, strict=True)})


def read_truths(array: pa.Array) -> Numbers:
    """Read a target: numbers as they are; the texts true and false, in any case, as 1 and 0."""
    if is_text(array.type):
        lowered = pc.utf8_lower(pc.utf8_trim_whitespace(array))
        for word, digit in (("true", "1"), ("false", "0")):
            array = pc.if_else(pc.equal(lowered, word), pa.scalar(digit, array.type), array)
    return read_numbers(array)


def read_categories(array: pa.Array) -> npt.NDArray[np.object_]:
    """Read a categorical column as str, None if missing; Python handles each distinct value once."""
    if is_text(array.type):
        array = clean_texts(array)
    encoded = array.dictionary_encode()
    names: list[str | None] = [_name_category(value) for value in encoded.dictionary.to_pylist()]
    lookup = np.array([*names, None], dtype=object)
    return lookup[encoded.indices.fill_null(len(names)).to_numpy(zero_copy_only=False)]


def _name_category(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float | decimal.Decimal):
        return str(int(value)) if value == value // 1 else str(value)
    if isinstance(value, datetime.date | datetime.datetime):
        return value.isoformat()
    whole = _WHOLE_NUMBER.fullmatch(str(value))
    return whole[1] if whole else str(value).replace(*_NUL)


def read_times(array: pa.Array) -> npt.NDArray[np.object_]:
    """Read dates and times as ISO text (midnight as the date alone), text as it is; None if missing."""
    if is_text(array.type):
        return _as_objects(pc.replace_substring(clean_texts(array), *_NUL))
    texts = pc.replace_substring_regex(array.cast(pa.string()), r"\.0+(Z?)$", r"\1")
    return _as_objects(pc.replace_substring_regex(texts, " 00:00:00$", ""))


def clean_keys(array: pa.Array) -> pa.Array:
    """Return keys as text or integers, missing ones as null; only the empty text is a missing key.

    Raises `pa.ArrowInvalid` when a number is not an integer of 64 bits.
    """
    if is_text(array.type):
        return pc.replace_substring(clean_texts(array, frozenset({""})), *_NUL)
    if isinstance(array, pa.UuidArray):
        return pa.array([None if one is None else str(one) for one in array.to_pylist()], pa.string())
    return array.cast(pa.int64())


def read_keys(array: pa.Array, key_type: str) -> npt.NDArray[np.object_]:
    """Read keys as Python integers or texts, None if missing."""
    keys = clean_keys(array)
    return _as_objects(keys.cast(pa.int64()) if key_type == "integer" else keys)


def _as_objects(array: pa.Array) -> npt.NDArray[np.object_]:
    objects = np.empty(len(array), dtype=object)
    objects[:] = array.to_pylist()
    return objects
