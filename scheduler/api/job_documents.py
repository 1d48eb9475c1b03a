"""Jobs as JSON: request and response documents."""

from datetime import date, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from db.ledger.job_lifecycle import Job
from db.schema.states import FailureCause, JobKind, JobState, JobTask, NetworkSize
from scheduler.api.parameters import LARGEST_ID, NAME_PATTERN, VERSION_PATTERN, Document, Page, Why

Priority = Literal["interactive", "normal", "nightly"]
_Portfolio = Annotated[str, Field(pattern=NAME_PATTERN, description="Name of the portfolio.", examples=["customers"])]


class _Submission(Document):
    portfolio: _Portfolio
    priority: Priority = Field(default="normal", description="Urgent jobs are processed first.", examples=["normal"])


class ScoringSubmission(_Submission):
    """Score every record of a book."""

    kind: Literal["scoring"] = Field(examples=["scoring"])
    model_version: str | None = Field(
        default=None, pattern=VERSION_PATTERN, description="Default: the champion.", examples=[None]
    )
    night: date | None = Field(
        default=None, description="Date of the records; default: today.", examples=["2026-11-25"]
    )
    reasons: bool = Field(strict=True, default=True, description="Store reason codes with each score.", examples=[True])
    dry_run: bool = Field(strict=True, default=False, description="Check, count and estimate only.", examples=[False])

    @property
    def options(self) -> dict[str, Any]:
        """The job's options: what was set, by the names that the worker knows."""
        night = {} if self.night is None else {"night": self.night.isoformat()}
        return night if self.reasons else night | {"reasons": False}


class TrainingSubmission(_Submission):
    """Train a model, from scratch or from another version's network; the gate decides on promotion."""

    kind: Literal["training"] = Field(examples=["training"])
    seed: int | None = Field(strict=True, default=None, ge=0, le=2**31 - 1, description="Random seed.", examples=[1])
    epochs: int | None = Field(
        strict=True, default=None, ge=1, le=1000, description="Maximum number of epochs.", examples=[12]
    )
    start_from: str | None = Field(
        alias="from", default=None, pattern=VERSION_PATTERN, description="Model version to start from.", examples=[None]
    )
    seeds: int | None = Field(
        strict=True,
        default=None,
        ge=1,
        le=16,
        description="How many times the usual number of ensemble members.",
        examples=[1],
    )
    size: NetworkSize | None = Field(
        default=None, description="Width of the network; default: usual. Not with `from`.", examples=["usual"]
    )
    time_limit: float | None = Field(
        default=None, ge=0.1, le=1e5, description="Stop fitting after about this many minutes.", examples=[30]
    )
    sample: int | None = Field(
        strict=True,
        default=None,
        ge=100,
        le=2**53,
        description="Maximum number of records to train on.",
        examples=[1000000],
    )
    folds: int | None = Field(strict=True, default=None, ge=2, le=50, description="Cross-validate too.", examples=[5])
    class_weights: bool = Field(
        strict=True, default=False, description="Give both outcomes equal weight while fitting.", examples=[False]
    )
    trees: bool = Field(
        strict=True, default=True, description="Include boosted trees in the model where they help.", examples=[True]
    )
    quick: bool = Field(
        strict=True,
        default=False,
        description="A first model in seconds; a full training follows and has to pass the gate.",
        examples=[False],
    )
    hold: bool = Field(strict=True, default=False, description="Do not promote the new model.", examples=[False])
    accept_suspicious: bool = Field(
        strict=True,
        default=False,
        description="Accept columns that nearly decide the outcome by themselves.",
        examples=[False],
    )

    @model_validator(mode="after")
    def _check_size(self) -> Self:
        if self.size is not None and self.start_from is not None:
            raise ValueError("size and from exclude each other, because a network keeps its width")
        return self

    @property
    def options(self) -> dict[str, Any]:
        """The job's options: what was set, by the names that the worker knows."""
        own = {"portfolio", "priority", "kind"}
        given = self.model_dump(by_alias=True, exclude=own, exclude_none=True)
        usual = {"class_weights": False, "quick": False, "hold": False, "accept_suspicious": False, "trees": True}
        return {name: value for name, value in given.items() if usual.get(name) is not value}


Submission = Annotated[ScoringSubmission | TrainingSubmission, Field(discriminator="kind")]


class JobDocument(Document):
    """One job."""

    job: int = Field(examples=[2])
    kind: JobKind = Field(examples=["scoring"])
    task: JobTask = Field(description="what the job does, within its kind", examples=["score"])
    portfolio: str = Field(examples=["customers"])
    state: JobState = Field(examples=["done"])
    priority: int = Field(description="jobs with a smaller number are processed first", examples=[100])
    inputs: int = Field(examples=[50000])
    scored: int = Field(examples=[49990])
    rejected: int = Field(examples=[10])
    shards_total: int = Field(examples=[5])
    shards_open: int = Field(examples=[0])
    seconds: float | None = Field(description="from the first claim to the end", examples=[2.1])
    records_per_second: float | None = Field(examples=[23809.5])
    model_version: str | None = Field(examples=["m-3f9c2a"])
    digest: str | None = Field(examples=["3b1f"])
    data_fingerprint: str | None = Field(examples=["77ad"])
    cause: FailureCause | None = Field(description="why it failed, as a code", examples=[None])
    detail: str | None = Field(description="why it failed, as a sentence", examples=[None])
    unusable_reason: str | None = Field(description="why its scores are unusable", examples=[None])
    progress: dict[str, Any] | None = Field(examples=[None])
    result: dict[str, Any] | None = Field(examples=[None])
    requested_by: str = Field(examples=["key 3f9c2a10be77 (nightly)"])
    created_at: datetime = Field(examples=["2026-11-24T21:59:03Z"])
    planning_since: datetime | None = Field(description="when planning began", examples=[None])
    started_at: datetime | None = Field(examples=["2026-11-24T21:59:04Z"])
    finished_at: datetime | None = Field(examples=["2026-11-24T21:59:06Z"])


class ShownJobDocument(JobDocument):
    """One job with its shards and its rejects."""

    shards: dict[str, int] = Field(description="number of shards by state", examples=[{"done": 5}])
    rejects: dict[str, int] = Field(description="number of rejected records by reason", examples=[{"infinite": 10}])
    waits_because: str | None = Field(examples=[None])


class JobPage(Page):
    """Jobs, newest first."""

    jobs: list[JobDocument]


class DryRunDocument(Document):
    """What the scoring job would do. Nothing was stored."""

    dry_run: Literal[True] = Field(examples=[True])
    portfolio: str = Field(examples=["customers"])
    source: str = Field(examples=["customers"])
    model_version: str = Field(examples=["m-3f9c2a"])
    inputs: int = Field(examples=[50000])
    shards: int = Field(examples=[5])
    seconds_estimate: float | None = Field(
        description="at the rate of this portfolio's latest finished job; null before the first one", examples=[2.1]
    )


class Reason(Document):
    """The reason for an action."""

    why: Why = ""


class Promotion(Reason):
    """The reason for a promotion."""

    accept_suspicious: bool = Field(
        strict=True,
        default=False,
        description="Columns that nearly decide the outcome by themselves are known before it.",
        examples=[False],
    )


class JobsAction(Document):
    """An action on every job that matches."""

    action: Literal["cancel", "pause", "resume", "retry"] = Field(examples=["cancel"])
    portfolio: str | None = Field(default=None, pattern=NAME_PATTERN, examples=["customers"])
    kind: JobKind | None = Field(default=None, examples=["scoring"])
    state: JobState | None = Field(default=None, examples=["queued"])
    jobs: list[Annotated[int, Field(strict=True, ge=1, le=LARGEST_ID)]] | None = Field(
        default=None, max_length=1000, description="Only these jobs, however old.", examples=[[1, 2]]
    )
    why: Why = ""

    def fits(self, job: Job) -> bool:
        """Whether a job matches the filter."""
        wanted = ((self.portfolio, job.portfolio), (self.kind, job.kind), (self.state, job.state))
        return all(asked in {None, found} for asked, found in wanted)


class JobsActionOutcome(Document):
    """The result for each job; for jobs whose state did not allow the action, the reason."""

    changed: list[int] = Field(examples=[[1, 2]])
    unchanged: dict[str, str] = Field(examples=[{"3": "job 3 is done; only a failed job can be retried"}])
    not_found: list[int] | None = Field(
        default=None, description="requested ids that do not exist, or that this key cannot see", examples=[[4]]
    )


def describe_job(job: Job) -> JobDocument:
    """Return a job as JSON."""
    return JobDocument(**_values_of(job))


def show_job(job: Job, shards: dict[str, int], rejects: dict[str, int], waits_because: str | None) -> ShownJobDocument:
    """Return a job with everything that only its own page shows."""
    return ShownJobDocument(**_values_of(job), shards=shards, rejects=rejects, waits_because=waits_because)


def _values_of(job: Job) -> dict[str, Any]:
    names = [name for name in JobDocument.model_fields if hasattr(job, name)]
    values = {name: getattr(job, name) for name in names} | {"job": job.id}
    finished = job.scored + job.rejected
    values["records_per_second"] = round(finished / job.seconds, 1) if job.seconds and finished else None
    return values
