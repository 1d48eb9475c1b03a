"""Reads delimited text files block by block, every column as text, so that one bad value changes no column's type."""

# pyarrow.compute makes its functions at run time, so their names are unknown before.
# pyright: reportAttributeAccessIssue=false

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NoReturn

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from db.events.wording import counted
from scheduler.data_files.errors import DataFileError

_DELIMITERS = (",", ";", "\t", "|")
# A row must fit into one block; two blocks are in memory at a time.
_BLOCK_BYTES = 4 << 20
_HEADER_BYTES = 1 << 20
_LONGEST_VALUE_BYTES = 128 << 10
_OTHER_ENCODINGS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class CsvSource:
    """A delimited text file with a header line: UTF-8, with or without BOM, plain or gzip."""

    def __init__(self, path: Path, wanted: Sequence[str]) -> None:
        """Read the header. `wanted` are names it should hold; they settle which delimiter it is."""
        self._path = path
        self.where = str(path)
        header = self._read_start()
        readings = [_read_header(header, delimiter) for delimiter in _DELIMITERS]
        scores = [(len(set(wanted).intersection(names)), len(names)) for names, _, _ in readings]
        best = scores.index(max(scores))
        if not readings[best][0]:
            raise DataFileError(self.where, "its first line cannot be read as a header: a column name is too long")
        self._delimiter = _DELIMITERS[best]
        self.names, self._header_lines, self._has_more = readings[best]

    def count_rows(self) -> int | None:
        """Unknown before the file has been read once."""
        return None

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield the columns as text, "" for empty values, a block at a time."""
        if not self._has_more:
            return
        try:
            with self._open_arrow() as stream:
                reader = arrow_csv.open_csv(stream, *self._arrow_options(columns))
                for batch in reader:
                    self._require_short(batch)
                    yield batch.select(list(columns))
        except (pa.ArrowInvalid, OSError) as error:
            self._explain(error)

    def _require_short(self, batch: pa.RecordBatch) -> None:
        """An unclosed quote would make the rest of the file one value, and its records would be lost."""
        longest = max((pc.max(pc.binary_length(one)).as_py() or 0 for one in batch.columns), default=0)
        if longest > _LONGEST_VALUE_BYTES:
            message = (
                f"a value has {longest} bytes, perhaps a quote is never closed; expected {_LONGEST_VALUE_BYTES} at most"
            )
            raise DataFileError(self.where, message)

    def _arrow_options(
        self, columns: Sequence[str]
    ) -> tuple[arrow_csv.ReadOptions, arrow_csv.ParseOptions, arrow_csv.ConvertOptions]:
        read = arrow_csv.ReadOptions(
            column_names=list(self.names),
            skip_rows=self._header_lines,
            block_size=_BLOCK_BYTES,
            use_threads=False,
        )
        # In a file with one column, an empty line is a record with a missing value.
        parse = arrow_csv.ParseOptions(
            delimiter=self._delimiter, newlines_in_values=True, ignore_empty_lines=len(self.names) > 1
        )
        convert = arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string()),
            include_columns=list(columns),
            strings_can_be_null=False,
        )
        return read, parse, convert

    @property
    def _is_gzip(self) -> bool:
        return self._path.suffix.lower() == ".gz"

    def _open_arrow(self) -> pa.NativeFile:
        return pa.input_stream(self.where, compression="gzip" if self._is_gzip else None)

    def _read_start(self) -> str:
        try:
            with self._open_arrow() as stream:
                start: bytes = stream.read(_HEADER_BYTES)
        except OSError as error:
            self._explain(error)
        if start.startswith(_OTHER_ENCODINGS) or b"\x00" in start.partition(b"\n")[0]:
            raise DataFileError(self.where, "expected UTF-8 text, but this looks like UTF-16 or a binary file")
        if not start.strip(b"\xef\xbb\xbf\r\n \t"):
            raise DataFileError(self.where, "the file is empty; expected a header line with the columns' names")
        try:
            return codecs.getincrementaldecoder("utf-8-sig")().decode(start)
        except UnicodeDecodeError as error:
            self._explain(error)

    def _explain(self, error: Exception) -> NoReturn:
        """Read the file again, slowly, to find the place of the error."""
        if isinstance(error, OSError):
            raise DataFileError(self.where, f"cannot be read: {str(error).splitlines()[0]}") from error
        with self._open_arrow() as stream:
            _find_wrong_byte(self.where, stream)
        with self._open_arrow() as stream:
            self._find_ragged_row(stream)
        reason = str(error).splitlines()[0][:200]
        raise DataFileError(
            self.where, f"not a readable CSV file, perhaps a quote is never closed: {reason}"
        ) from error

    def _lines(self, stream: BinaryIO) -> Iterator[str]:
        """Yield the lines; a line that is too long for a block raises an error."""
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
        number = 0
        while line := text.readline(_BLOCK_BYTES + 1):
            number += 1
            if len(line) > _BLOCK_BYTES:
                raise DataFileError(
                    self.where, f"a line has more than {_BLOCK_BYTES} bytes; expected one record", number
                )
            yield line

    def _find_ragged_row(self, stream: BinaryIO) -> None:
        rows = csv.reader(self._lines(stream), delimiter=self._delimiter)
        before = 0
        try:
            for row in rows:
                if row and len(row) != len(self.names):
                    message = f"expected {counted(len(self.names), 'value')} as in the header, got {len(row)}"
                    raise DataFileError(self.where, message, before + 1)
                before = rows.line_num
        except csv.Error as error:
            message = f"not a readable CSV file, perhaps a quote is never closed: {error}"
            raise DataFileError(self.where, message, before + 1) from error


def _read_header(start: str, delimiter: str) -> tuple[tuple[str, ...], int, bool]:
    """Return the columns' names, the number of lines down to them, and whether anything follows."""
    lines = io.StringIO(start, newline="")
    rows = csv.reader(lines, delimiter=delimiter)
    try:
        names = next((row for row in rows if row), [])
    except csv.Error:  # with this delimiter a single name is longer than any name
        names = []
    return tuple(name.strip() for name in names), rows.line_num, lines.read(1) != ""


def _find_wrong_byte(where: str, stream: BinaryIO) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    position, line = 0, 1
    while True:
        block = stream.read(_BLOCK_BYTES)
        pending = len(decoder.getstate()[0])
        try:
            decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            line += block.count(b"\n", 0, max(error.start - pending, 0))
            message = f"expected UTF-8 text, got the byte 0x{error.object[error.start]:02x} at position "
            advice = ", counted from 0; save the file as UTF-8"
            raise DataFileError(where, f"{message}{position + error.start - pending}{advice}", line) from error
        if not block:
            return
        position += len(block)
        line += block.count(b"\n")
