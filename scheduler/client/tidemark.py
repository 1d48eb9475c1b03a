"""The Python client: `Tidemark(url, key)`, or `Tidemark()` for the installation of this machine.

    from scheduler.client import Tidemark

    tidemark = Tidemark()
    job = tidemark.submit_scoring("customers").wait(progress=True)
    frame = tidemark.scores(job)

What is submitted carries an idempotency key, so that a request whose answer was lost is sent again without harm.
"""

import io
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypedDict, Unpack

import httpx

from scheduler.client.jobs import Job, wait_for_end
from scheduler.client.transport import Transport, local_address

if TYPE_CHECKING:
    import pandas as pd

_CONTENT_TYPES = {
    ".csv": "text/csv",
    ".jsonl": "application/x-ndjson",
    ".ndjson": "application/x-ndjson",
    ".parquet": "application/vnd.apache.parquet",
    ".pq": "application/vnd.apache.parquet",
}


class TrainingOptions(TypedDict, total=False):
    """Options of a training; see `tidemark train --help`. `start_from` is a version, `time_limit` in minutes."""

    seed: int
    epochs: int
    start_from: str
    seeds: int
    size: Literal["small", "usual", "large"]
    time_limit: float
    sample: int
    folds: int
    class_weights: bool
    trees: bool
    quick: bool
    hold: bool
    accept_suspicious: bool


class Tidemark:
    """A connection to the HTTP API. Usable in `with`; threads may share it."""

    def __init__(self, url: str | None = None, key: str | None = None, *, timeout_seconds: float = 30.0) -> None:
        """Connect to `url` with `key`; without arguments to the API of this machine's state folder."""
        if url is None or key is None:
            local = local_address()
            url, key = url or local.url, key or local.key
        headers = {"Authorization": f"Bearer {key}", "User-Agent": "tidemark-client"}
        self._transport = Transport(httpx.Client(base_url=url, headers=headers, timeout=timeout_seconds))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def portfolios(self) -> list[dict[str, Any]]:
        """Return every portfolio that the key has access to."""
        return list(self._pages("/v1/portfolios", "portfolios", {}))

    def add_portfolio(self, file: str | Path) -> str:
        """Store a portfolio file (TOML); return "added", "changed" or "unchanged"."""
        headers = {"Content-Type": "application/toml"}
        content = Path(file).read_bytes()
        return str(self._transport.send("POST", "/v1/portfolios", content=content, headers=headers).json()["outcome"])

    def upload(self, portfolio: str, data: "str | Path | pd.DataFrame", *, replace: bool = False) -> dict[str, Any]:
        """Load records from a CSV, JSON lines or Parquet file, or a frame; return the counts."""
        return self._send_data(f"/v1/portfolios/{portfolio}/records", data, {"replace": "true"} if replace else {})

    def load_events(
        self,
        portfolio: str,
        table: str,
        data: "str | Path | pd.DataFrame",
        *,
        mode: Literal["new_records", "append", "by_record", "replace"] = "new_records",
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Load events from a file, or a frame, into the portfolio's event table; return the counts.

        `mode` says what happens to events that records of the file have already: the load is refused, they stay,
        those of these records are replaced, or the whole table is.
        """
        query = {"mode": mode} | ({"dry_run": "true"} if dry_run else {})
        return self._send_data(f"/v1/portfolios/{portfolio}/events/{table}", data, query)

    def _send_data(self, path: str, data: "str | Path | pd.DataFrame", query: dict[str, str]) -> dict[str, Any]:
        if not isinstance(data, str | Path):
            content = data.to_parquet(index=False)
            headers = {"Content-Type": _CONTENT_TYPES[".parquet"]}
            return self._transport.send("POST", path, content=content, headers=headers, params=query).json()
        file = Path(data)
        kind = _CONTENT_TYPES.get(file.suffix.lower())
        if kind is None:
            raise ValueError(f"{file}: expected a file name ending in {', '.join(_CONTENT_TYPES)}")
        with file.open("rb") as stream:
            headers = {"Content-Type": kind, "Content-Length": str(file.stat().st_size)}
            answer = self._transport.send("POST", path, content=stream, headers=headers, params=query, is_safe=False)
        return answer.json()

    def submit_scoring(
        self,
        portfolio: str,
        *,
        model_version: str | None = None,
        night: str | None = None,
        reasons: bool = True,
        priority: str = "normal",
        idempotency_key: str | None = None,
    ) -> Job:
        """Submit a job that scores the whole book, with the champion unless another version is given.

        `night` is the date of the records, YYYY-MM-DD; default: today.
        """
        wanted = {"kind": "scoring", "portfolio": portfolio, "priority": priority, "model_version": model_version}
        return self._submit(wanted | {"night": night, "reasons": reasons}, idempotency_key)

    def submit_training(
        self,
        portfolio: str,
        *,
        priority: str = "normal",
        idempotency_key: str | None = None,
        **options: Unpack[TrainingOptions],
    ) -> Job:
        """Submit a training job, with the options of `tidemark train`; `hold` prevents the promotion."""
        wanted: dict[str, Any] = {"kind": "training", "portfolio": portfolio, "priority": priority, **options}
        if "start_from" in wanted:
            wanted["from"] = wanted.pop("start_from")
        return self._submit(wanted, idempotency_key)

    def dry_run(self, portfolio: str, *, model_version: str | None = None) -> dict[str, Any]:
        """Return what a scoring job would do: inputs, shards, model version, seconds. Nothing is stored."""
        wanted = {"kind": "scoring", "portfolio": portfolio, "model_version": model_version, "dry_run": True}
        return self._transport.send("POST", "/v1/jobs", json=wanted).json()

    def job(self, job_id: int) -> Job:
        """Return the current state of a job."""
        return Job(self._transport, self._transport.send("GET", f"/v1/jobs/{job_id}").json())

    def jobs(self, *, portfolio: str | None = None, kind: str | None = None, state: str | None = None) -> Iterator[Job]:
        """Yield jobs, newest first; pages are read as needed."""
        wanted = {"portfolio": portfolio, "kind": kind, "state": state}
        query = {name: value for name, value in wanted.items() if value is not None}
        for document in self._pages("/v1/jobs", "jobs", query):
            yield Job(self._transport, document)

    def wait(self, job: Job | int, *, progress: bool = False, timeout_seconds: float | None = None) -> Job:
        """Return the job once it has ended, even if it failed. Raises `TimeoutError`; the job continues."""
        known = job if isinstance(job, Job) else self.job(job)
        return wait_for_end(known, progress=progress, timeout_seconds=timeout_seconds)

    def scores(self, job: Job | int) -> "pd.DataFrame":
        """Return every score of a finished job: record_key, probability, points, band, model_version ..."""
        return self._table(f"/v1/jobs/{_id_of(job)}/scores.arrow")

    def rejects(self, job: Job | int) -> "pd.DataFrame":
        """Return every record that a job could not score: record_key, field, reason, detail."""
        return self._table(f"/v1/jobs/{_id_of(job)}/rejects.arrow")

    def drift(self, portfolio: str) -> Iterator[dict[str, Any]]:
        """Yield the monitor's reports, newest night first: job, model_version, verdict, figures."""
        return self._pages(f"/v1/portfolios/{portfolio}/drift", "reports", {})

    def score(
        self, records: "Sequence[Mapping[str, Any]] | pd.DataFrame", *, portfolio: str | None = None
    ) -> "pd.DataFrame":
        """Score up to 1,000 records immediately with the champion; return one row per record, in order.

        A record's `events` are lists or frames by the name of their table. A record that cannot be scored has no
        probability; `field` and `reason` say why. `portfolio` may be omitted if the key has access to only one.
        """
        import numpy as np  # noqa: PLC0415 - those who only submit need neither
        import pandas as pd  # noqa: PLC0415

        rows = records.to_dict("records") if isinstance(records, pd.DataFrame) else [dict(one) for one in records]
        cleaned = [{str(name): _plain(value) for name, value in row.items()} for row in rows]
        wanted = {"portfolio": portfolio or self._only_portfolio(), "records": cleaned}
        answer = self._transport.send("POST", "/v1/score", json=wanted).json()
        rows = pd.DataFrame(answer["scores"] + answer["rejects"], index=None).sort_values("index", ignore_index=True)
        columns = ["record_key", "probability", "points", "band", "reasons", "field", "reason", "detail"]
        found = rows.reindex(columns=columns).assign(model_version=answer["model_version"])
        return found.replace({np.nan: None}).astype({"probability": "float64", "points": "Int64"})

    def _submit(self, wanted: Mapping[str, Any], idempotency_key: str | None) -> Job:
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        return Job(self._transport, self._transport.send("POST", "/v1/jobs", json=wanted, headers=headers).json())

    def _only_portfolio(self) -> str:
        names = [str(one["name"]) for one in self.portfolios()]
        if len(names) != 1:
            raise ValueError(f"expected portfolio=NAME, since there are {', '.join(names) or 'none'}")
        return names[0]

    def _pages(self, path: str, name: str, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        cursor: str | None = ""
        while cursor is not None:
            following = {"cursor": cursor} if cursor else {}
            page = self._transport.send("GET", path, params={**query, **following}).json()
            yield from page[name]
            cursor = page["next_cursor"]

    def _table(self, path: str) -> "pd.DataFrame":
        import pyarrow as pa  # noqa: PLC0415 - it takes half a second to load

        answer = self._transport.send("GET", path)
        return pa.ipc.open_stream(io.BytesIO(answer.content)).read_all().to_pandas()


def _id_of(job: Job | int) -> int:
    return job if isinstance(job, int) else job.id


def _plain(value: Any) -> Any:
    """Return a JSON value: no numpy number, no NaN; times as text; a frame of events as a list."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if hasattr(value, "to_dict"):
        return _plain(value.to_dict("records"))
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if value != value:  # noqa: PLR0124 - NaN, and a time that is missing, differ from themselves
        return None
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value.item() if hasattr(value, "item") else value
