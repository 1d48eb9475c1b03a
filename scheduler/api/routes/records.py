"""`/v1/portfolios/{name}/records`: upload records; streamed to a file, checked, loaded in one transaction."""

import zlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import anyio
import anyio.to_thread
import pandas as pd
from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.requests import ClientDisconnect

from db.portfolios.definition import PortfolioDefinition
from db.sources.loading import load_records
from scheduler.api.context import Caller, Operator
from scheduler.api.parameters import Document, PortfolioName, problems
from scheduler.api.problems import Problem
from scheduler.api_settings import ApiSettings
from scheduler.data_files.errors import DataFileError, DataTooLargeError
from scheduler.data_files.load_survey import LoadSurvey
from scheduler.data_files.record_file import DataFile, open_data_file
from worker.contract.scratch import own_folder

router = APIRouter(prefix="/v1/portfolios", tags=["records"])

_ENDINGS = {
    "text/csv": ".csv",
    "application/vnd.apache.parquet": ".parquet",
    "application/x-ndjson": ".jsonl",
}
_UPLOAD_NAME = "the upload"
_UNPACK_BYTES = 1 << 20


class UnreadableValues(Document):
    """Texts in place of numbers."""

    values: int = Field(examples=[12])
    examples: list[str] = Field(examples=[["41000,50"]])


class LoadedRecords(Document):
    """The result of an upload, in records."""

    portfolio: str = Field(examples=["customers"])
    source: str = Field(examples=["customers"])
    loaded: int = Field(examples=[50000])
    replaced: int = Field(description="of these, how many replaced a record with the same key", examples=[120])
    without_key: int = Field(description="they will be rejected", examples=[0])
    total: int = Field(description="records in the source now", examples=[50000])
    ignored_columns: list[str] = Field(description="columns that the portfolio does not name", examples=[["note"]])
    unreadable: dict[str, UnreadableValues] = Field(
        description="columns with text in place of a number; scoring rejects these records",
        examples=[{"income": {"values": 12, "examples": ["41000,50"]}}],
    )
    repeated_keys: int = Field(
        description="keys that occur more than once; scoring uses the first record", examples=[0]
    )


@dataclass
class _Upload:
    """Writes the pieces of a body to a file, unpacked, and stops at the limit."""

    path: Path
    limit: int
    unpack: Any  # a decompressor of zlib, whose type has no public name; or None
    written: int = 0

    async def take(self, pieces: AsyncIterator[bytes]) -> None:
        async with await anyio.open_file(self.path, "wb") as file:
            async for piece in pieces:
                for part in self._unpacked(piece):
                    self._count(len(part))
                    await file.write(part)
        if self.unpack is not None and not self.unpack.eof:
            raise Problem(400, "malformed-body", "the gzip stream ends too early")

    def _unpacked(self, piece: bytes) -> Iterator[bytes]:
        if self.unpack is None:
            yield piece
            return
        try:
            while piece:
                yield self.unpack.decompress(piece, _UNPACK_BYTES)
                piece = self.unpack.unconsumed_tail
        except zlib.error as error:
            raise Problem(400, "malformed-body", "the body is not a gzip stream") from error

    def _count(self, size: int) -> None:
        self.written += size
        if self.written > self.limit:
            raise Problem(413, "too-large", f"an upload may hold at most {self.limit} bytes, decompressed")


@router.post("/{name}/records", response_model=LoadedRecords, responses=problems(400, 404, 409, 413, 415),
    openapi_extra={"requestBody": {"required": True, "description": "Records; CSV and JSON lines may be gzipped.",
    "content": {
        "text/csv": {"schema": {"type": "string"}, "example": "customer_id,income\n1,41000\n"},
        "application/x-ndjson": {"schema": {"type": "string"}, "example": '{"customer_id": 1, "income": 41000}\n'},
        "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}, "example": "PAR1"},
    }}})  # fmt: skip
async def upload(
    caller: Operator,
    name: PortfolioName,
    request: Request,
    replace: Annotated[
        bool, Query(description="Recreate the table; its present rows are deleted.", examples=[False])
    ] = False,
) -> LoadedRecords:
    """Load records into the portfolio's source table, all or nothing. Rows with the same key are replaced."""
    portfolio = await anyio.to_thread.run_sync(caller.portfolio, name)
    settings = caller.context.settings
    with own_folder("upload") as folder:
        path = await receive_upload(request, folder, settings.api_upload_bytes)
        load = partial(_load, caller, portfolio.definition, path, settings, replace_all=replace)
        return await anyio.to_thread.run_sync(load)


async def receive_upload(request: Request, folder: Path, limit: int) -> Path:
    """Stream a request's body to a file whose name ends as its content type says. Raises `Problem`."""
    ending, unpack = _read_headers(request)
    path = folder / f"upload{ending}"
    try:
        await _Upload(path, limit, unpack).take(request.stream())
    except ClientDisconnect as error:
        raise Problem(400, "malformed-body", "the client went away") from error
    return path


def _read_headers(request: Request) -> tuple[str, Any]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _ENDINGS:
        raise Problem(415, "unsupported-media-type", f"expected one of {', '.join(_ENDINGS)}")
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", "gzip"} or (encoding == "gzip" and kind == "application/vnd.apache.parquet"):
        raise Problem(415, "unsupported-media-type", "expected no content encoding, or gzip for CSV and JSON lines")
    return _ENDINGS[kind], zlib.decompressobj(16 + zlib.MAX_WBITS) if encoding == "gzip" else None


def refusal_of(error: DataFileError, path: Path) -> Problem:
    """Return the refusal of an upload; the message begins with the place of a file that the sender does not know."""
    message = str(error).replace(str(path), _UPLOAD_NAME)
    if isinstance(error, DataTooLargeError):
        return Problem(413, "too-large", message)
    return Problem(422, "invalid-records", message)


def _load(
    caller: Caller, definition: PortfolioDefinition, path: Path, settings: ApiSettings, *, replace_all: bool
) -> LoadedRecords:
    caller.require_in_force()  # an upload may have taken long
    try:
        file = open_data_file(path, definition, most_bytes=settings.api_upload_bytes)
        _require_size(file.rows_estimate or 0, settings)
        survey = LoadSurvey()
        frames = survey.watch(_frames(file, settings))
        outcome = load_records(
            caller.engine, definition, frames, key_type=file.key_type, replace_all=replace_all, who=caller.who
        )
    except DataFileError as error:
        raise refusal_of(error, path) from None
    counts = {"loaded": outcome.loaded, "replaced": outcome.replaced, "without_key": outcome.without_key}
    return LoadedRecords(
        portfolio=definition.name,
        source=definition.source,
        total=outcome.total,
        ignored_columns=list(file.ignored_columns),
        unreadable={name: UnreadableValues(**found) for name, found in survey.unreadable.items()},
        repeated_keys=outcome.repeated_keys,
        **counts,
    )


def _frames(file: DataFile, settings: ApiSettings) -> Iterator[pd.DataFrame]:
    rows = 0
    for batch in file.batches():
        rows += len(batch.frame)
        _require_size(rows, settings)
        yield batch.frame


def _require_size(rows: int, settings: ApiSettings) -> None:
    if rows > settings.api_upload_rows:
        raise Problem(413, "too-large", f"an upload may hold at most {settings.api_upload_rows} records")
