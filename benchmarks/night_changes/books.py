"""Books of three kinds that changes are made in: loans, patients, machines, and a small generated one for tests.

Each is cut into records to learn from, held-out records (the reference) and tonight's. Codes of names are written out
as their documentation has them, and an optional number is blank in 15 % of the records.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.quality_sets import read_set
from transformer.records.schema import Field, RecordSchema

BLANK_SHARE = 0.15
_LEVELS = {1: "normal", 2: "above normal", 3: "well above normal"}
_WRITTEN_OUT = {
    "credit_cards": {
        "SEX": {1: "male", 2: "female"},
        "EDUCATION": {1: "graduate school", 2: "university", 3: "high school"},
        "MARRIAGE": {1: "married", 2: "single"},
    },
    "cardio": {"gender": {1: "woman", 2: "man"}, "cholesterol": _LEVELS, "gluc": _LEVELS},
    "machine_failure": {"Type": {"L": "low grade", "M": "medium grade", "H": "high grade"}},
}


@dataclass(frozen=True)
class Roles:
    """Which columns play which part: `amounts` are positive numbers, `age` is a time, `optional` may be blank."""

    amounts: tuple[str, ...]
    age: str
    optional: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Book:
    """A book's records by use; `outcome` is of the records to learn from."""

    name: str
    roles: Roles
    schema: RecordSchema
    learnt: pd.DataFrame
    outcome: NDArray[np.float64]
    held_out: pd.DataFrame
    tonight: pd.DataFrame


ROLES = {
    "credit_cards": Roles(("LIMIT_BAL", "BILL_AMT1"), "AGE", "AGE", ("EDUCATION", "MARRIAGE", "SEX")),
    "cardio": Roles(("weight", "ap_hi"), "age", "height", ("cholesterol", "gluc", "gender")),
    "machine_failure": Roles(
        ("Torque [Nm]", "Rotational speed [rpm]"), "Tool wear [min]", "Process temperature [K]", ("Type",)
    ),
    "generated": Roles(("amount", "income"), "age", "income", ("region", "product")),
}


def read_books(folder: Path) -> list[Book]:
    """Return the public books that lie in the folder; without any, the generated one."""
    found = [_read_public(folder, name) for name in _WRITTEN_OUT if (folder / name / "data.parquet").exists()]
    return found or [make_generated()]


def make_generated(rows: int = 6000, seed: int = 11) -> Book:
    """Return a small book of loans from a seed."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "amount": (random.lognormal(9.2, 0.6, rows).clip(1000, 25_000) / 50).round() * 50,
            "income": random.lognormal(7.8, 0.45, rows).round(),
            "age": random.integers(19, 78, rows).astype(float),
            "years_employed": random.gamma(1.6, 4.0, rows).round(1),
            "burden": random.beta(2, 5, rows).round(4),
            "late_payments": random.poisson(0.4, rows).astype(float),
            "region": random.choice(["North", "South", "East Coast", "West Hills"], rows, p=[0.4, 0.3, 0.2, 0.1]),
            "product": random.choice(["car loan", "home loan", "credit line"], rows, p=[0.5, 0.2, 0.3]),
        }
    )
    risk = frame["late_payments"] + 3 * frame["burden"] - frame["years_employed"] / 10 - 2
    outcome = (random.random(rows) < 1 / (1 + np.exp(-risk))).astype(np.float64).to_numpy()
    part = np.arange(rows) % 3
    return _cut("generated", _blank_some(frame, "income"), outcome, part == 0, part == 1)


def _read_public(folder: Path, name: str) -> Book:
    data, _ = read_set(folder, name)
    for column, texts in _WRITTEN_OUT[name].items():
        data[column] = data[column].map(lambda value, texts=texts: texts.get(value, f"other {value}")).astype("object")
    frame = _blank_some(data.drop(columns=["record_id", "split", "target"]), ROLES[name].optional)
    split = data["split"].to_numpy()
    outcome = data["target"].to_numpy(np.float64)
    return _cut(name, frame, outcome, split == "train", split == "valid")


def _blank_some(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    is_blank = np.random.default_rng(5).random(len(frame)) < BLANK_SHARE
    return frame.assign(**{column: frame[column].astype("float64").mask(is_blank)})


def _cut(
    name: str,
    frame: pd.DataFrame,
    outcome: NDArray[np.float64],
    is_learnt: NDArray[np.bool_],
    is_held_out: NDArray[np.bool_],
) -> Book:
    schema = RecordSchema(
        tuple(
            Field(column, "numeric" if pd.api.types.is_numeric_dtype(frame[column]) else "categorical")
            for column in frame.columns
        )
    )
    parts = (frame[is_learnt], frame[is_held_out], frame[~is_learnt & ~is_held_out])
    learnt, held_out, tonight = (part.reset_index(drop=True) for part in parts)
    return Book(name, ROLES[name], schema, learnt, outcome[is_learnt], held_out, tonight)
