"""Reads files of JSON lines: one object per line, every value as text, so that bad values change no type."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from scheduler.data_files.errors import DataFileError

_BATCH_ROWS = 50_000
_BATCH_CHARACTERS = 32 << 20
_LONGEST_LINE_BYTES = 1 << 20


class JsonLinesSource:
    """A UTF-8 file with one JSON object per line. The first line names the columns; later ones may leave some out."""

    def __init__(self, path: Path) -> None:
        """Read the first line."""
        self._path = path
        self.where = str(path)
        first = next(self._objects(), None)
        if first is None:
            raise DataFileError(self.where, "the file is empty; expected one JSON object per line")
        self.names: tuple[str, ...] = tuple(first[1])

    def count_rows(self) -> int | None:
        """Unknown before the file has been read once."""
        return None

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield the columns as text, "" for empty values."""
        rows: list[list[str]] = []
        known, size = set(self.names), 0
        for line, record in self._objects():
            unknown = next((name for name in record if name not in known), None)
            if unknown is not None:
                raise DataFileError(self.where, f"the name {unknown!r} is missing from the first line", line)
            rows.append([self._as_text(record.get(name), name, line) for name in columns])
            size += sum(map(len, rows[-1]))
            if len(rows) == _BATCH_ROWS or size > _BATCH_CHARACTERS:
                yield _as_batch(rows, columns)
                rows, size = [], 0
        if rows:
            yield _as_batch(rows, columns)

    def _objects(self) -> Iterator[tuple[int, dict[str, object]]]:
        with self._path.open("rb") as file:
            line = 0
            while text := file.readline(_LONGEST_LINE_BYTES + 1):
                line += 1
                if len(text) > _LONGEST_LINE_BYTES:
                    raise DataFileError(self.where, f"a line has more than {_LONGEST_LINE_BYTES} bytes", line)
                if text.strip():
                    yield line, self._read(text, line)

    def _read(self, text: bytes, line: int) -> dict[str, object]:
        try:
            record = json.loads(text.decode("utf-8-sig" if line == 1 else "utf-8"))
        except (ValueError, RecursionError) as error:
            raise DataFileError(self.where, "expected one JSON object in UTF-8", line) from error
        if not isinstance(record, dict):
            raise DataFileError(self.where, "expected a JSON object", line)
        return record

    def _as_text(self, value: object, name: str, line: int) -> str:
        if value is None:
            return ""
        if isinstance(value, bool):
            return str(int(value))
        if isinstance(value, (int, float)):
            return repr(value)
        if not isinstance(value, str):
            raise DataFileError(
                self.where, f"{name!r} holds a list or an object; expected a text, a number or null", line
            )
        if "\x00" in value or (not value.isprintable() and any("\ud800" <= one <= "\udfff" for one in value)):
            raise DataFileError(self.where, f"{name!r} holds a character that is not allowed", line)
        return value


def _as_batch(rows: list[list[str]], columns: Sequence[str]) -> pa.RecordBatch:
    values = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
    return pa.RecordBatch.from_arrays(values, names=list(columns))
