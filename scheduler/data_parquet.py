"""Reads Parquet files batch by batch, only the columns asked for."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as arrow_parquet

from scheduler.data_errors import DataFileError

_BATCH_ROWS = 50_000


class ParquetSource:
    """A Parquet file; the types of its columns are those of its schema."""

    def __init__(self, path: Path) -> None:
        """Read the footer."""
        self.where = str(path)
        try:
            # Closed at once: each reading opens the file anew, so that an abandoned one holds nothing open.
            with arrow_parquet.ParquetFile(path) as file:
                self.schema: pa.Schema = file.schema_arrow
                self._row_group_rows = [file.metadata.row_group(one).num_rows for one in range(file.num_row_groups)]
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(self.where, error) from error
        self.names: tuple[str, ...] = tuple(self.schema.names)

    def count_rows(self) -> int | None:
        """Return the number of rows that the footer tells."""
        return sum(self._row_group_rows)

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield the columns in their own types."""
        yield from self._read(columns, None)

    def sample(self, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """Yield about `rows` rows, the first ones of row groups spread evenly over the file."""
        groups = len(self._row_group_rows)
        spread = min(groups, 10)
        for group in [one * (groups - 1) // max(spread - 1, 1) for one in range(spread)]:
            left = rows // spread
            for batch in self._read(columns, [group]):
                yield batch.slice(0, left)
                left -= batch.num_rows
                if left <= 0:
                    break

    def _read(self, columns: Sequence[str], row_groups: list[int] | None) -> Iterator[pa.RecordBatch]:
        # Asked for "rate" the reader also brings columns such as "rate.base": select leaves the one that was meant.
        try:
            with arrow_parquet.ParquetFile(self.where) as file:
                for batch in file.iter_batches(_BATCH_ROWS, row_groups=row_groups, columns=list(columns)):
                    yield batch.select(list(columns))
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(self.where, error) from error


def _unreadable(where: str, error: Exception) -> DataFileError:
    return DataFileError(where, f"not a readable Parquet file: {(str(error).splitlines() or [repr(error)])[0][:200]}")
