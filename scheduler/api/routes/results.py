"""`/v1/jobs/{id}/scores` and `/rejects`: a page at a time as JSON, or whole as CSV, Parquet or an Arrow stream."""

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Annotated, Any

import pandas as pd
from fastapi import APIRouter, Path, Query
from fastapi.responses import StreamingResponse
from pydantic import Field

from db.events.event_pages import Access, record_access, record_page
from db.ledger.job_lifecycle import Job
from db.results.exports import REJECT_COLUMNS, SCORE_COLUMNS, read_rejects, read_scores
from db.results.result_pages import page_rejects, page_scores
from db.schema.states import JobKind, JobState
from scheduler.api.context import Caller, Reader
from scheduler.api.parameters import (
    Document,
    JobId,
    KeyCursor,
    Limit,
    Page,
    PlaceCursor,
    decode_key,
    decode_place,
    encode_key,
    problems,
)
from scheduler.api.problems import Problem
from scheduler.api.watched import WatchedResponse, in_pieces
from scheduler.reports.result_streams import stream_arrow, stream_csv, stream_parquet

router = APIRouter(prefix="/v1/jobs", tags=["results"])


class FileFormat(StrEnum):
    """The format of a complete result."""

    CSV = "csv"
    PARQUET = "parquet"
    ARROW = "arrow"


_MEDIA_TYPES = {
    FileFormat.CSV: "text/csv; charset=utf-8",
    FileFormat.PARQUET: "application/vnd.apache.parquet",
    FileFormat.ARROW: "application/vnd.apache.arrow.stream",
}
_FILES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The complete result.",
        "content": {
            "text/csv": {"schema": {"type": "string"}, "example": "record_key,probability\n42,0.031\n"},
            "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}, "example": "PAR1"},
            "application/vnd.apache.arrow.stream": {"schema": {"type": "string", "format": "binary"}, "example": ""},
        },
    },
    **problems(404, 409),
}
_Format = Annotated[FileFormat, Path(description="Format of the file.", examples=["csv"])]
Raw = Annotated[
    bool,
    Query(
        description="CSV only: put no apostrophe before text that a spreadsheet would read as a formula.",
        examples=[False],
    ),
]


class ScoreDocument(Document):
    """A record's score."""

    record_key: str = Field(examples=["42"])
    probability: float = Field(description="of the bad event", examples=[0.031442])
    points: int = Field(description="higher is safer", examples=[612])
    band: str = Field(description="A (safest) to H", examples=["B"])
    reasons: list[str] | None = Field(
        default=None, description="values that pushed the score most towards the bad event", examples=[["income"]]
    )


class ScorePage(Page):
    """Scores of a job, in key order."""

    job: int = Field(examples=[2])
    model_version: str | None = Field(examples=["m-3f9c2a"])
    scores: list[ScoreDocument]


class RejectDocument(Document):
    """A record that could not be scored, and why."""

    record_key: str | None = Field(examples=["43"])
    field: str = Field(examples=["income"])
    reason: str = Field(examples=["not_a_number"])
    detail: str = Field(examples=["expected a number, got 'n/a'"])


class RejectPage(Page):
    """Rejects of a job, in the order of the book."""

    job: int = Field(examples=[2])
    rejects: list[RejectDocument]


@router.get("/{job_id}/scores", response_model=ScorePage, responses=problems(404, 409))
def list_scores(
    caller: Reader,
    job_id: JobId,
    cursor: KeyCursor = None,
    limit: Limit = 100,
    band: Annotated[str | None, Query(pattern="^[A-H]$", description="Only this band.", examples=["H"])] = None,
) -> ScorePage:
    """List the scores of a finished job, ordered by key."""
    job = _finished_job(caller, job_id)
    record_page(caller.engine, _access(caller, job, "scores", "pages"))
    found = page_scores(caller.engine, job_id, after=decode_key(cursor), limit=limit + 1, band=band)
    more = encode_key(found[limit - 1].record_key) if len(found) > limit else None
    scores = [ScoreDocument.model_validate(one) for one in found[:limit]]
    return ScorePage(job=job_id, model_version=job.model_version, scores=scores, next_cursor=more)


@router.get("/{job_id}/rejects", response_model=RejectPage, responses=problems(404, 409))
def list_rejects(
    caller: Reader,
    job_id: JobId,
    cursor: PlaceCursor = None,
    limit: Limit = 100,
    reason: Annotated[
        str | None, Query(pattern="^[a-z_]{1,40}$", description="Only this reason.", examples=["not_a_number"])
    ] = None,
) -> RejectPage:
    """List the records that a scoring job could not score."""
    record_page(caller.engine, _access(caller, _scoring_job(caller, job_id), "rejects", "pages"))
    found = page_rejects(caller.engine, job_id, after=decode_place(cursor), limit=limit + 1, reason=reason)
    more = f"{found[limit - 1].shard_id}-{found[limit - 1].ordinal}" if len(found) > limit else None
    rejects = [
        RejectDocument(record_key=one.record_key, field=one.field, reason=one.reason, detail=one.detail)
        for one in found[:limit]
    ]
    return RejectPage(job=job_id, rejects=rejects, next_cursor=more)


@router.get("/{job_id}/scores.{file_format}", response_class=StreamingResponse, responses=_FILES)
def send_scores(caller: Reader, job_id: JobId, file_format: _Format, raw: Raw = False) -> StreamingResponse:
    """Send every score of a finished job, ordered by key."""
    access = _access(caller, _finished_job(caller, job_id), "scores", file_format)
    frames = read_scores(caller.engine, job_id)
    return _send(caller, access, file_format, frames, SCORE_COLUMNS, raw=raw)


@router.get("/{job_id}/rejects.{file_format}", response_class=StreamingResponse, responses=_FILES)
def send_rejects(caller: Reader, job_id: JobId, file_format: _Format, raw: Raw = False) -> StreamingResponse:
    """Send every reject of a scoring job."""
    access = _access(caller, _scoring_job(caller, job_id), "rejects", file_format)
    return _send(caller, access, file_format, read_rejects(caller.engine, job_id), REJECT_COLUMNS, raw=raw)


def _send(
    caller: Caller,
    access: Access,
    file_format: FileFormat,
    frames: Iterator[pd.DataFrame],
    columns: tuple[str, ...],
    *,
    raw: bool,
) -> StreamingResponse:
    streams: dict[FileFormat, Callable[[], Iterator[bytes]]] = {
        FileFormat.CSV: lambda: stream_csv(frames, columns, is_safe=not raw),
        FileFormat.PARQUET: lambda: stream_parquet(frames, columns),
        FileFormat.ARROW: lambda: stream_arrow(frames, columns),
    }
    record_access(caller.engine, access, exported=True)
    content = in_pieces(streams[file_format]())
    return WatchedResponse(content, caller=caller, media_type=_MEDIA_TYPES[file_format])


def _access(caller: Caller, job: Job, what: str, form: str) -> Access:
    count = job.scored if what == "scores" else job.rejected
    return Access(what, caller.who, job.portfolio, f"{form}, {count} {what}", job.id)


def _scoring_job(caller: Caller, job_id: int) -> Job:
    job = caller.job(job_id)
    if job.kind is not JobKind.SCORING:
        raise Problem(409, "state-conflict", f"job {job_id} is a {job.kind} job; only scoring jobs have results")
    return job


def _finished_job(caller: Caller, job_id: int) -> Job:
    job = _scoring_job(caller, job_id)
    if job.state is not JobState.DONE:
        raise Problem(409, "state-conflict", f"job {job_id} is {job.state}; its scores are incomplete")
    return job
