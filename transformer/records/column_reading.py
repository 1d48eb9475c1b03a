"""Reads columns of records, and tells what cannot be read. Numbers may stand there as text, names as numbers."""

import difflib
import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from transformer.errors import SchemaError
from transformer.records.schema import RecordSchema

_SHOWN_CHARACTERS = 80
THERE, BLANK, FIRST_CODE = 0, 1, 2  # kinds of a number; code FIRST_CODE + i is the field's missing_codes[i]
# "1.0" is how a whole column of names such as 1 is written to a file once one of them is missing.
_WHOLE_AS_DECIMAL = re.compile(r"-?[0-9]+\.0+")

Floats = NDArray[np.float64]
Kinds = NDArray[np.int8]


class Problem(NamedTuple):
    """Why a record cannot be scored: "not_a_number" or "infinite", in which field, and the value that stood there."""

    row: int
    field: str
    reason: str
    value: str


@dataclass(frozen=True)
class RecordArrays:
    """Columns of N records: numbers as float64 with NaN for missing, names as objects with None for missing.

    `kinds` says of every number why it is missing: `THERE`, `BLANK`, or which of the field's codes stood there.
    """

    numeric: dict[str, Floats]
    categorical: dict[str, NDArray[np.object_]]
    rows: int
    kinds: dict[str, Kinds] = field(default_factory=dict)

    def take(self, rows: NDArray[Any]) -> "RecordArrays":
        """Return the same columns for some rows (indices or mask)."""
        numeric = {name: values[rows] for name, values in self.numeric.items()}
        categorical = {name: values[rows] for name, values in self.categorical.items()}
        kinds = {name: values[rows] for name, values in self.kinds.items()}
        return RecordArrays(numeric, categorical, int(np.zeros(self.rows)[rows].shape[0]), kinds)


def read_columns(frame: pd.DataFrame, schema: RecordSchema) -> tuple[RecordArrays, list[Problem]]:
    """Read the schema's columns; problems are in row order, at most one for each row and field.

    A value with a problem reads as missing, so that the arrays stay whole. Raises `SchemaError` for a missing column.
    """
    numeric: dict[str, Floats] = {}
    categorical: dict[str, NDArray[np.object_]] = {}
    kinds: dict[str, Kinds] = {}
    problems: list[Problem] = []
    for name, (kind, codes) in schema.readings.items():
        if name not in frame.columns:
            raise SchemaError(name, next(iter(difflib.get_close_matches(name, map(str, frame.columns), n=1)), None))
        if kind == "numeric":
            numeric[name] = _read_numbers(frame[name], name, codes, problems)
            kinds[name] = _take_codes_out(numeric[name], frame[name], codes)
        else:
            categorical[name] = read_names(frame[name], codes)
    return RecordArrays(numeric, categorical, len(frame), kinds), sorted(problems, key=lambda one: one.row)


def read_numbers(column: pd.Series, codes: tuple[float | str, ...]) -> Floats:
    """Return a column's numbers as float64; NaN for missing ones, for codes, and for what is no finite number."""
    values = _read_numbers(column, str(column.name), codes, [])
    _take_codes_out(values, column, codes)
    return values


def _read_numbers(column: pd.Series, name: str, codes: tuple[float | str, ...], problems: list[Problem]) -> Floats:
    if column.dtype.kind in "iufb" and not pd.api.types.is_extension_array_dtype(column.dtype):
        values = column.to_numpy(dtype=np.float64, copy=True)
    else:
        values = _read_mixed_numbers(column, name, codes, problems)
    infinite = np.isinf(values)
    if infinite.any():
        problems.extend(Problem(int(row), name, "infinite", str(values[row])) for row in np.flatnonzero(infinite))
        values[infinite] = np.nan
    return values


def _take_codes_out(values: Floats, column: pd.Series, codes: tuple[float | str, ...]) -> Kinds:
    """Make every code missing in `values`, and return the kind of each value: which code stood there, if any."""
    kinds = np.isnan(values).astype(np.int8)  # BLANK is 1
    texts = None
    for number, code in enumerate(codes, start=FIRST_CODE):
        if not isinstance(code, str) or _is_number(code):
            kinds[values == float(code)] = number
        elif kinds.any() and column.dtype.kind not in "iufb":
            texts = column.astype("str").str.strip() if texts is None else texts
            kinds[(texts == code).to_numpy(dtype=bool)] = number
    values[kinds >= FIRST_CODE] = np.nan
    return kinds


def _read_mixed_numbers(
    column: pd.Series, name: str, codes: tuple[float | str, ...], problems: list[Problem]
) -> Floats:
    """Numbers, text that is a number, blanks and text codes (missing), and other text (a problem)."""
    objects = column.astype("object")
    values = _parse_numbers(objects)
    suspects = np.flatnonzero(np.isnan(values) & objects.notna().to_numpy())
    ignored = {code for code in codes if isinstance(code, str)} | {"", "nan", "NaN"}
    texts = [str(value).strip() for value in objects.to_numpy()[suspects]]
    problems.extend(
        Problem(int(row), name, "not_a_number", text[:_SHOWN_CHARACTERS])
        for row, text in zip(suspects, texts, strict=True)
        if text not in ignored
    )
    return values


def _parse_numbers(objects: pd.Series) -> Floats:
    """Return NaN for what is no number; a whole number beyond all floats is infinite."""
    try:
        return np.array(pd.to_numeric(objects, errors="coerce"), dtype=np.float64)
    except OverflowError:
        return np.array([_parse_number(value) for value in objects], dtype=np.float64)


def _parse_number(value: object) -> float:
    try:
        return float(pd.to_numeric(pd.Series([value], dtype="object"), errors="coerce").iloc[0])
    except OverflowError:
        return np.inf


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def read_names(column: pd.Series, codes: tuple[float | str, ...]) -> NDArray[np.object_]:
    """Return names as text: 1, 1.0, "1" and true are the same; blanks and codes are None.

    Works on the distinct values alone. Values that Python holds for equal share one entry of `distinct`, whichever came
    first, so they must share a name.
    """
    objects = column.astype("object")
    try:
        ids, distinct = pd.factorize(objects, use_na_sentinel=True)
    except TypeError:  # lists and the like, which have no hash
        ids, distinct = pd.factorize(objects.map(str, na_action="ignore"), use_na_sentinel=True)
    missing = {text_of(code) for code in codes}
    names = [text_of(value) for value in distinct]
    table = np.array([None if name in missing or name == "" else name for name in names] + [None], dtype=object)
    return table[ids]


def text_of(value: object) -> str:
    """Return a value as a name: 1, 1.0, "1" and true are all "1"."""
    if isinstance(value, (bool, np.bool_)):
        return str(int(value))
    if isinstance(value, (float, np.floating, Decimal)):
        number = float(value)
        return str(int(number)) if number.is_integer() else str(number)
    text = str(value).strip()
    return text.partition(".")[0] if _WHOLE_AS_DECIMAL.fullmatch(text) else text
