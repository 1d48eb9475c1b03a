"""Options and arguments that several commands share, declared once."""

from pathlib import Path
from typing import Annotated

import typer


def _read_job_id(text: str) -> int:
    if not text.isdecimal() or len(text) > 18:  # beyond that no database has a number for it
        raise typer.BadParameter(f"expected a job id, got {text!r}; list them with: tidemark job list")
    return int(text)


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
PortfolioName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the portfolio.")]
DataFile = Annotated[Path, typer.Argument(metavar="DATA", help="CSV or Parquet file.")]
JobId = Annotated[int, typer.Argument(metavar="JOB", help="Id of the job.", parser=_read_job_id)]
TargetFile = Annotated[Path, typer.Argument(metavar="FILE", help="File to write: .csv or .parquet.")]
Wait = Annotated[
    bool,
    typer.Option("--wait/--detach", help="Wait for the job to end and show progress, or return once it is stored."),
]
Timeout = Annotated[
    float | None, typer.Option("--timeout", min=0, help="Maximum seconds to wait; the job continues afterwards.")
]
Priority = Annotated[
    str, typer.Option("--priority", help="interactive, normal or nightly: urgent jobs are processed first.")
]
IdempotencyKey = Annotated[
    str | None, typer.Option("--idempotency-key", help="Submitting again with the same key returns the same job.")
]
AcceptSuspicious = Annotated[
    bool,
    typer.Option(
        "--accept-suspicious",
        help="Promote even if a single column nearly decides the outcome. Use it only if that column is known before.",
    ),
]
