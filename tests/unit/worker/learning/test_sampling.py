"""A sample of a book is its records of the lowest hashes, however the book is cut into reads."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from db.sources.source_table import RECORD_KEY
from transformer.records.splitting import hash_order
from worker.learning.book_reading import sample_lowest

KEYS = np.array([f"customer {number}" for number in range(1000)], dtype=object)


def read(rows: int) -> Iterator[pd.DataFrame]:
    for start in range(0, len(KEYS), rows):
        yield pd.DataFrame({RECORD_KEY: KEYS[start : start + rows]})


@pytest.mark.parametrize("rows", [7, 100, 1000])
@pytest.mark.parametrize("most", [1, 10, 999, 1000, 5000])
def test_it_keeps_the_lowest_hashes_in_the_order_of_the_book(rows: int, most: int) -> None:
    kept = pd.concat(sample_lowest(read(rows), most))[RECORD_KEY].tolist()
    lowest = np.sort(np.argsort(hash_order(KEYS))[:most])
    assert kept == KEYS[lowest].tolist()
