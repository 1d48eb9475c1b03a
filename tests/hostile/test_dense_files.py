"""Files that are small and decode to gigabytes, or whose lines never end, are refused before they fill the memory."""

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as arrow_parquet
import pytest
from sqlalchemy import Engine

from db.connections.engine import open_engine
from db.migrations.upgrade import prepare_database
from scheduler.data_files.errors import DataFileError, DataTooLargeError
from scheduler.data_files.parquet_source import ParquetSource
from scheduler.data_files.record_file import open_data_file
from tests.building import book_definition, load_book
from tests.hostile.api_process import ApiProcess, api_process

MEBIBYTE = 1 << 20
ROWS = 3_000_000
HEAD = b"id,bad,amount,colour\n"
PARQUET, CSV, LINES = "application/vnd.apache.parquet", "text/csv", "application/x-ndjson"


def same_text(text: str, rows: int) -> pa.Array:
    """A column that stands for the same text in every record."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, dtype=np.int32)), pa.array([text]))


def dense_table(rows: int, text: str) -> pa.Table:
    """A table whose every column is the same value again and again."""
    numbers = pa.array(np.zeros(rows, dtype=np.int64))
    columns = {"id": numbers, "bad": numbers, "amount": numbers.cast(pa.float64()), "colour": same_text(text, rows)}
    return pa.table(columns)


def parquet_bytes(table: pa.Table, **options: object) -> bytes:
    sink = io.BytesIO()
    arrow_parquet.write_table(table, sink, store_schema=False, write_statistics=False, **options)  # type: ignore[arg-type]
    return sink.getvalue()


def chained_bytes() -> bytes:
    """Each text is told as "the one before it": 2,000 of 200 kB in a file of some kilobytes."""
    text = "x" * 200_000
    table = pa.table({"id": range(2000), "bad": [0] * 2000, "amount": [1.0] * 2000, "colour": [text] * 2000})
    return parquet_bytes(table, use_dictionary=False, column_encoding={"colour": "DELTA_BYTE_ARRAY"})


@pytest.fixture
def api(engine: Engine, any_database_url: str, tmp_path: Path) -> Iterator[ApiProcess]:
    """An API that takes 256 MiB, unpacked."""
    load_book(engine, [1, 2, 3])
    with api_process(engine, any_database_url, tmp_path, api_upload_bytes=256 * MEBIBYTE) as running:
        yield running


def peak_bytes(api: ApiProcess) -> int:
    """The most memory that the process ever held."""
    status = Path(f"/proc/{api.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024


def test_dense_and_endless_uploads_are_refused_and_fill_no_memory(api: ApiProcess) -> None:
    bomb = parquet_bytes(dense_table(ROWS, "x" * 2000))  # 6 GB
    assert len(bomb) < 200_000
    uploads: list[tuple[str, bytes, int, str]] = [
        (PARQUET, bomb, 413, "decode to more than"),
        (PARQUET, parquet_bytes(dense_table(1000, "x" * (2 * MEBIBYTE))), 413, "a text has 2097152 bytes"),
        (PARQUET, chained_bytes(), 413, "decode to more than"),
        (CSV, HEAD + b"1,0,1," + b"x" * (100 * MEBIBYTE), 422, "a line has more than"),
        (CSV, HEAD + b'1,0,1,"' + b"x\n" * (20 * MEBIBYTE), 422, "perhaps a quote is never closed"),
        (CSV, HEAD + b'1,0,1,"' + b"x\n" * 200_000, 422, "perhaps a quote is never closed"),
        (CSV, b",".join(b"c%d" % at for at in range(100_000)) + b"\n1\n", 422, "the header names 100,000 columns"),
        (LINES, b'{"id": 1, "colour": "' + b"x" * (100 * MEBIBYTE), 422, "a line has more than"),
    ]
    headers = {"Authorization": f"Bearer {api.key()}"}
    with httpx.Client(base_url=api.url, headers=headers, timeout=300) as client:
        client.post("/v1/portfolios/book/records", content=HEAD + b"1,0,1,red\n", headers={"Content-Type": CSV})
        before = peak_bytes(api)
        for kind, body, status, result in uploads:
            answer = client.post("/v1/portfolios/book/records", content=body, headers={"Content-Type": kind})
            assert (answer.status_code, result in answer.json()["detail"]) == (status, True), answer.text[:500]
            outcome = client.post("/v1/portfolios/book/outcomes", content=body, headers={"Content-Type": kind})
            assert outcome.status_code in {413, 422}, outcome.text[:500]
    assert peak_bytes(api) - before < 500 * MEBIBYTE
    assert "Traceback" not in api.log.read_text()


# A process counts what the one that started it held; this small one starts the command, and tells what that one took.
MEASURED = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def test_the_command_line_refuses_a_dense_file_without_reading_it(tmp_path: Path) -> None:
    url, path = f"sqlite:///{tmp_path / 'tidemark.db'}", tmp_path / "dense.parquet"
    engine = open_engine(url)
    prepare_database(engine)
    load_book(engine, [1])
    engine.dispose()
    path.write_bytes(parquet_bytes(dense_table(ROWS, "x" * 2000)))
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMARK_")}
    settings = {"TIDEMARK_HOME": str(tmp_path), "TIDEMARK_DATABASE_URL": url}
    command = [sys.executable, "-m", "scheduler.cli.main", "load", "book", str(path)]
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *command], env=clean | settings, capture_output=True, text=True, check=False
    )
    assert done.returncode == 64, done.stderr
    assert "decode to more than" in done.stderr
    assert int(done.stdout.splitlines()[-1]) * 1024 < 1000 * MEBIBYTE


def test_long_texts_are_loaded_fewer_at_a_time(tmp_path: Path) -> None:
    """50,000 records of 4 kB would be a batch of 200 MB; all of them come, in the order of the file."""
    path = tmp_path / "long.parquet"
    texts = pa.DictionaryArray.from_arrays(pa.array(np.arange(50_000) % 2), pa.array(["a" * 4000, "b" * 4000]))
    numbers = pa.array(np.arange(50_000))
    table = pa.table({"id": numbers, "bad": numbers.cast(pa.float64()), "amount": numbers, "colour": texts})
    arrow_parquet.write_table(table.set_column(1, "bad", pa.array(np.zeros(50_000))), path)
    frames = [one.frame for one in open_data_file(path, book_definition()).batches()]
    assert max(len(frame) for frame in frames) < 20_000
    assert [key for frame in frames for key in frame["id"]] == list(range(50_000))
    assert [text[0] for frame in frames for text in frame["colour"]] == ["a", "b"] * 25_000


def test_honest_files_of_every_encoding_are_read_as_they_are(tmp_path: Path) -> None:
    rows = 2000
    texts = [f"text {at % 300}" if at % 7 else None for at in range(rows)]
    table = pa.table({"id": range(rows), "bad": [0] * rows, "amount": [1.5] * rows, "colour": texts})
    for at, encoding in enumerate(("PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY", None)):
        path = tmp_path / f"{at}.parquet"
        own = {"use_dictionary": False, "column_encoding": {"colour": encoding}} if encoding else {}
        arrow_parquet.write_table(table, path, row_group_size=600, **own)
        found = [text for one in open_data_file(path, book_definition()).batches() for text in one.frame["colour"]]
        assert found == texts, encoding


def test_nested_columns_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "nested.parquet"
    arrow_parquet.write_table(pa.table({"id": [1], "outcome": [[1]], "outcome_date": ["2026-01-01"]}), path)
    with pytest.raises(DataFileError, match="the column outcome holds list"):
        list(ParquetSource(path).batches(["outcome"]))


def test_a_footer_that_says_it_is_huge_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "footer.parquet"
    path.write_bytes(b"PAR1" + b"\x00" * 100 + (200 * MEBIBYTE).to_bytes(4, "little") + b"PAR1")
    with pytest.raises(DataTooLargeError, match="its footer has 209715200 bytes"):
        ParquetSource(path)


def test_a_key_that_no_index_takes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.csv"
    path.write_bytes(HEAD + b"k" * 3000 + b",0,1,red\n")
    with pytest.raises(DataFileError, match="has 3000 bytes; expected 1024 at most"):
        list(open_data_file(path, book_definition()).batches())
