"""Reads Parquet files batch by batch: only the requested columns, and never more than fits into memory.

A Parquet file states its encoded size. A text that stands in a million rows stands once in the file, so what it
decodes to is added up first, with the texts still encoded.
"""

# pyarrow.compute makes its functions at run time, so their names are unknown before.
# pyright: reportAttributeAccessIssue=false

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as arrow_parquet
import pyarrow.types as arrow_types

from db.events.wording import counted
from scheduler.data_files.errors import DataFileError, DataTooLargeError

_BATCH_ROWS = 50_000
_BATCH_BYTES = 64 << 20
_LONGEST_TEXT_BYTES = 1 << 20
_FOOTER_BYTES = 64 << 20
_MOST_CHUNKS = 2_000_000  # row groups times columns
_WIDEST_VALUE = 32  # a decimal of 256 bits
# A file below this may be as dense as it likes; above it, no honest one is 200 times smaller than its records.
_HARMLESS_BYTES = 2 << 30
_DENSEST = 200
# Where each text may repeat the one before it, so few rows at once: until it is known how long they are.
_CHAINED_ROWS = 64
_DELTA = "DELTA_"


class ParquetSource:
    """A Parquet file; the types of its columns are those of its schema."""

    def __init__(self, path: Path) -> None:
        """Read the footer."""
        self.where = str(path)
        self._bytes = path.stat().st_size
        self._require_footer(path)
        try:
            # Closed at once: each reading opens the file again, so that an abandoned one keeps nothing open.
            with arrow_parquet.ParquetFile(path) as file:
                self.schema: pa.Schema = file.schema_arrow
                self._metadata = file.metadata
                chunks = file.num_row_groups * file.metadata.num_columns
                if chunks > _MOST_CHUNKS:
                    raise DataTooLargeError(
                        self.where,
                        f"{counted(file.num_row_groups, 'row group')} of "
                        f"{counted(file.metadata.num_columns, 'column')}; "
                        f"expected at most {_MOST_CHUNKS} chunks: write larger row groups",
                    )
                self._row_group_rows = [file.metadata.row_group(one).num_rows for one in range(file.num_row_groups)]
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(self.where, error) from error
        self.names: tuple[str, ...] = tuple(self.schema.names)
        self._longest = _LONGEST_TEXT_BYTES
        self._chained = self._find_chained()

    def count_rows(self) -> int | None:
        """Return the number of rows according to the footer."""
        return sum(self._row_group_rows)

    def require_size(self, columns: Sequence[str], most_bytes: int | None = None) -> None:
        """Raise `DataTooLargeError` if the columns decode to too much, and `DataFileError` where they are nested.

        Without `most_bytes`, the limit is what no honest file decodes to. Nothing is decoded for this check.
        """
        most = max(_HARMLESS_BYTES, _DENSEST * self._bytes) if most_bytes is None else most_bytes
        for name in columns:
            self._require_plain(name)
        texts = [name for name in columns if self._is_text(name)]
        total = sum(self._row_group_rows) * 8 * (len(columns) - len(texts))
        self._require_below(total, most)
        self._longest = 1
        for batch in self._read_encoded(texts, None, _BATCH_ROWS if self._chained.isdisjoint(texts) else _CHAINED_ROWS):
            for column in batch.columns:
                total += self._measure(column)
            self._require_below(total, most)

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield the columns, some records at a time, so that they fit into memory."""
        yield from self._read(columns, None)

    def sample(self, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """Yield about `rows` rows, the first ones of row groups spread evenly over the file."""
        groups = len(self._row_group_rows)
        groups_read = min(groups, 10)
        for group in [one * (groups - 1) // max(groups_read - 1, 1) for one in range(groups_read)]:
            left = rows // groups_read
            for batch in self._read(columns, [group]):
                yield batch.slice(0, left)
                left -= batch.num_rows
                if left <= 0:
                    break

    def _read(self, columns: Sequence[str], row_groups: list[int] | None) -> Iterator[pa.RecordBatch]:
        for name in columns:
            self._require_plain(name)
        rows = _BATCH_ROWS
        if not self._chained.isdisjoint(columns):
            rows = min(_BATCH_ROWS, _BATCH_BYTES // self._longest)
        for batch in self._read_encoded(columns, row_groups, rows):
            for piece in _pieces(batch):
                yield _decoded(piece)

    def _read_encoded(
        self, columns: Sequence[str], row_groups: list[int] | None, rows: int
    ) -> Iterator[pa.RecordBatch]:
        """Yield the columns with texts as dictionaries, so that memory is bounded by the size of the file."""
        if not columns:
            return
        texts = [name for name in columns if self._is_text(name) and name not in self._chained]
        # Asked for "rate" the reader also brings columns such as "rate.base": select leaves the one that was meant.
        try:
            with arrow_parquet.ParquetFile(self.where, read_dictionary=texts) as file:
                for batch in file.iter_batches(rows, row_groups=row_groups, columns=list(columns)):
                    yield batch.select(list(columns))
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(self.where, error) from error

    def _measure(self, column: pa.Array) -> int:
        """Return how many bytes a text column decodes to."""
        lengths, at = _lengths(column)
        longest = pc.max(lengths).as_py() or 0
        self._longest = max(self._longest, longest)
        if longest > _LONGEST_TEXT_BYTES:
            expected = f"expected {_LONGEST_TEXT_BYTES} at most in a value"
            raise DataTooLargeError(self.where, f"a text has {longest} bytes; {expected}: leave such columns out")
        return pc.sum(lengths if at is None else lengths.take(at)).as_py() or 0

    def _require_below(self, total: int, most: int) -> None:
        if total > most:
            size = f"its {self.count_rows()} records decode to more than {most} bytes"
            raise DataTooLargeError(self.where, f"{size}; expected no more: split the file, or leave long texts out")

    def _require_plain(self, name: str) -> None:
        kind = self.schema.field(name).type
        kind = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
        is_wide = arrow_types.is_fixed_size_binary(kind) and kind.byte_width > _WIDEST_VALUE
        if arrow_types.is_nested(kind) or is_wide:
            raise DataFileError(self.where, f"the column {name} holds {kind}; expected one text or number per record")

    def _is_text(self, name: str) -> bool:
        return _is_text(self.schema.field(name).type)

    def _find_chained(self) -> frozenset[str]:
        """Return the columns without a dictionary, whose texts may be encoded as prefixes of the previous one."""
        found: set[str] = set()
        for group in range(self._metadata.num_row_groups):
            one = self._metadata.row_group(group)
            chunks = map(one.column, range(one.num_columns))
            found |= {chunk.path_in_schema for chunk in chunks if any(e.startswith(_DELTA) for e in chunk.encodings)}
        return frozenset(name for name in found & set(self.names) if self._is_text(name))

    def _require_footer(self, path: Path) -> None:
        with path.open("rb") as file:
            file.seek(max(0, self._bytes - 8))
            end = file.read(8)
        size = (
            struct.unpack("<I", end[:4])[0] if end[4:] == b"PAR1" else 0
        )  # otherwise it is not a Parquet file, which is reported below
        if size > _FOOTER_BYTES:
            raise DataTooLargeError(self.where, f"its footer has {size} bytes; expected {_FOOTER_BYTES} at most")


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if arrow_types.is_dictionary(kind) else kind
    checks = (arrow_types.is_string, arrow_types.is_large_string, arrow_types.is_string_view)
    checks = (*checks, arrow_types.is_binary, arrow_types.is_large_binary, arrow_types.is_binary_view)
    return any(check(kind) for check in checks)


def _lengths(column: pa.Array) -> tuple[pa.Array, pa.Array | None]:
    """Return the lengths of the distinct texts and their positions; for a plain column only the lengths."""
    if not isinstance(column, pa.DictionaryArray):
        return pc.fill_null(pc.binary_length(column), 0).cast(pa.int64()), None
    return pc.fill_null(pc.binary_length(column.dictionary), 0).cast(pa.int64()), column.indices


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Cut a batch in halves until each piece fits into memory."""
    if batch.num_rows <= 1 or sum(map(_decoded_bytes, batch.columns)) <= _BATCH_BYTES:
        yield batch
        return
    half = batch.num_rows // 2
    yield from _pieces(batch.slice(0, half))
    yield from _pieces(batch.slice(half))


def _decoded_bytes(column: pa.Array) -> int:
    if not isinstance(column, pa.DictionaryArray):
        return column.nbytes
    if not _is_text(column.type):
        return 8 * len(column)
    lengths, at = _lengths(column)
    return pc.sum(lengths.take(at)).as_py() or 0


def _decoded(batch: pa.RecordBatch) -> pa.RecordBatch:
    columns = [one.dictionary_decode() if isinstance(one, pa.DictionaryArray) else one for one in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _unreadable(where: str, error: Exception) -> DataFileError:
    return DataFileError(where, f"not a readable Parquet file: {(str(error).splitlines() or [repr(error)])[0][:200]}")
