"""Receives an upload: a body that is streamed to a file, unpacked, and stopped at its limit."""

import zlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from fastapi import Request
from starlette.requests import ClientDisconnect

from scheduler.api.problems import Problem
from scheduler.data_files.errors import DataFileError, DataTooLargeError

_ENDINGS = {
    "text/csv": ".csv",
    "application/vnd.apache.parquet": ".parquet",
    "application/x-ndjson": ".jsonl",
}
_UPLOAD_NAME = "the upload"
_UNPACK_BYTES = 1 << 20


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
