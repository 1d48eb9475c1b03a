"""The public sets that the quality benchmark reads, and what their columns are."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from transformer.fitting.examples import Examples
from transformer.records.column_reading import read_columns
from transformer.records.features import FeatureTransform
from transformer.records.schema import Field, History, RecordSchema

_MONTHS = {
    "PAY": ("PAY_6", "PAY_5", "PAY_4", "PAY_3", "PAY_2", "PAY_0"),
    "BILL_AMT": tuple(f"BILL_AMT{month}" for month in range(6, 0, -1)),
    "PAY_AMT": tuple(f"PAY_AMT{month}" for month in range(6, 0, -1)),
}
# Each set: categorical columns that hold numbers, histories, and codes that mean "not known".
SETS: dict[str, tuple[tuple[str, ...], dict[str, tuple[str, ...]], tuple[float | str, ...]]] = {
    "credit_cards": (("SEX", "EDUCATION", "MARRIAGE"), _MONTHS, ()),
    "give_me_credit": ((), {}, ()),
    "home_equity_lines": ((), {}, (-7, -8, -9)),
    "german_credit": ((), {}, ()),
    "machine_failure": ((), {}, ()),
    "cardio": (("gender",), {}, ()),
    "breast_cancer": ((), {}, ()),
    "polish_companies_3": ((), {}, ()),
    "car_auction": (("BYRNO", "VNZIP1", "IsOnlineSale"), {}, ()),
    "access_requests": (
        (
            "RESOURCE",
            "MGR_ID",
            "ROLE_ROLLUP_1",
            "ROLE_ROLLUP_2",
            "ROLE_DEPTNAME",
            "ROLE_TITLE",
            "ROLE_FAMILY_DESC",
            "ROLE_FAMILY",
            "ROLE_CODE",
        ),
        {},
        (),
    ),
    "electricity": (("day",), {}, ()),
    "flight_delays": (("day_of_week", "flight"), {}, ()),
}
DATES = {"car_auction": "PurchDate"}  # enters as the number of a day, for every model
IN_TIME = {"electricity": "time", "flight_delays": "time"}  # the date of a record, which no model may read


def read_examples(folder: Path, name: str) -> tuple[FeatureTransform, Examples]:
    """Return a transform that was fitted on all records of a set, and those records as the network reads them."""
    data, schema = read_set(folder, name)
    arrays, _ = read_columns(data, schema)
    transform = FeatureTransform.fit(arrays, schema)
    return transform, Examples(transform.transform(arrays), data["target"].to_numpy(np.float64))


def read_dates(folder: Path, name: str) -> NDArray[np.object_] | None:
    """Return the dates of a set that is split by time, which its portfolio would name as `as_of`; None of others."""
    if name not in IN_TIME:
        return None
    dates = pd.read_parquet(folder / name / "data.parquet", columns=[IN_TIME[name]])
    return dates[IN_TIME[name]].astype(str).to_numpy(dtype=object)


def read_set(folder: Path, name: str) -> tuple[pd.DataFrame, RecordSchema]:
    """Return the records of a set and its columns; text columns are categorical."""
    data = pd.read_parquet(folder / name / "data.parquet").drop(columns=[IN_TIME[name]] if name in IN_TIME else [])
    if name in DATES:
        data[DATES[name]] = pd.to_datetime(data[DATES[name]]).map(pd.Timestamp.toordinal).astype(np.float64)
    categorical, histories, codes = SETS[name]
    months = {column for columns in histories.values() for column in columns}
    fields: list[Field] = []
    for column in data.columns.drop(["record_id", "split", "target"]):
        if column not in months:
            is_number = pd.api.types.is_numeric_dtype(data[column]) and column not in categorical
            fields.append(Field(column, "numeric", codes) if is_number else Field(column, "categorical"))
    return data, RecordSchema(tuple(fields), tuple(History(one, "numeric", own) for one, own in histories.items()))
