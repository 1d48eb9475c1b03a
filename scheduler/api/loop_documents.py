"""The document of a portfolio's loop, described for OpenAPI."""

import datetime as dt

from pydantic import Field

from db.retraining.next_look import NextKind
from db.schema.states import JobState, JobTask, ModelState, Verdict
from scheduler.api.parameters import Document, Page

_AT, _DAY = ["2026-11-24T21:59:03Z"], ["2026-11-24"]
_VERSION, _OTHER = ["m-3f9c2a"], ["m-77aa01"]
_RATE, _AUC, _BRIER = [0.051], [0.81], [0.043]


class NextDocument(Document):
    """What the loop does next, and when."""

    kind: NextKind = Field(description="what it waits for", examples=["refresh"])
    said: str = Field(examples=["Next look: after 120 more outcomes, expected 14 December 2026."])
    why: str = Field(examples=["a training is due when the outcomes have grown by 25%"])
    outcomes_needed: int | None = Field(examples=[120])
    bad_needed: int | None = Field(description="bad outcomes", examples=[None])
    nights_needed: int | None = Field(examples=[None])
    can_come_earlier: bool = Field(description="whether an alarm may start a training before that", examples=[True])
    expected_date: dt.date | None = Field(description="by the book's calendar; null = unknown", examples=["2026-12-14"])


class RealisedDocument(Document):
    """What outcomes say of some nights, next to what the scores predicted."""

    outcomes: int = Field(examples=[1200])
    bad: int = Field(examples=[60])
    bad_rate: float | None = Field(examples=_RATE)
    predicted_bad_rate: float | None = Field(description="mean score of the records with an outcome", examples=_RATE)
    expected_bad_rate: float | None = Field(description="the monitor's estimate for all records", examples=_RATE)
    roc_auc: float | None = Field(description="mean of nights, weighted by outcomes", examples=_AUC)
    expected_roc_auc: float | None = Field(description="the monitor's estimate for all records", examples=_AUC)
    brier: float | None = Field(examples=_BRIER)


class LoopTotals(Document):
    """The whole history in numbers."""

    models: int = Field(examples=[7])
    promotions: int = Field(examples=[3])
    refusals: int = Field(examples=[4])
    rollbacks: int = Field(examples=[0])
    alerts: int = Field(examples=[2])
    trainings: int = Field(examples=[4])
    failed_trainings: int = Field(examples=[0])
    training_seconds: float = Field(description="time of workers, judgements included", examples=[412.5])
    nights: int = Field(examples=[120])
    unusable_nights: int = Field(examples=[1])
    realised: RealisedDocument


class LoopModelDocument(Document):
    """One model version from its training to its retirement."""

    version: str = Field(examples=_VERSION)
    state: ModelState = Field(examples=["retired"])
    made: str = Field(description="trained, fine_tuned, recalibrated, pretrained, ...", examples=["trained"])
    job: int | None = Field(examples=[1])
    parent_version: str | None = Field(examples=[None])
    replaced_by: str | None = Field(description="its copy without personal records", examples=[None])
    learned_records: int | None = Field(description="outcomes that it learned from", examples=[24_000])
    created_at: dt.datetime = Field(examples=_AT)
    promoted_at: dt.datetime | None = Field(examples=_AT)
    retired_at: dt.datetime | None = Field(examples=[None])
    ended_by: str | None = Field(description="gate, promote, rollback or scrub", examples=[None])
    nights: int = Field(examples=[30])
    first_night: dt.date | None = Field(examples=_DAY)
    last_night: dt.date | None = Field(examples=_DAY)
    verdicts: dict[str, int] = Field(description="number of nights by verdict", examples=[{"stable": 29, "drifted": 1}])
    unusable_nights: int = Field(examples=[0])
    realised: RealisedDocument


class ComparedDocument(Document):
    """One figure of two models: new minus old."""

    figure: str = Field(examples=["ROC AUC"])
    before: float = Field(examples=[0.81])
    after: float = Field(examples=[0.84])
    difference: float = Field(examples=[0.03])
    low: float | None = Field(description="lower end of the interval, if there is one", examples=[0.01])
    high: float | None = Field(description="upper end of the interval", examples=[0.05])


class RetrainingDocument(Document):
    """One judged version: what it brought and cost."""

    decision: int = Field(examples=[4])
    at: dt.datetime = Field(examples=_AT)
    after_night: dt.date | None = Field(description="newest night at that time, by the book", examples=_DAY)
    version: str = Field(examples=_VERSION)
    against: str | None = Field(examples=_OTHER)
    made: str = Field(examples=["fine_tuned"])
    outcome: str = Field(description="promoted, promoted by hand, refused or undecided", examples=["promoted"])
    reason: str = Field(examples=["every check passed"])
    by: str = Field(examples=["gate"])
    job: int | None = Field(examples=[12])
    seconds: float | None = Field(description="worker time of the job", examples=[83.4])
    measured: list[ComparedDocument] = Field(description="by the gate, on outcomes later than the training data")
    watched: list[ComparedDocument] = Field(description="afterwards, on the same later records")
    watched_outcomes: int | None = Field(examples=[900])
    own_nights: list[ComparedDocument] = Field(description="afterwards, each model on its own nights")


class RefusalDocument(Document):
    """One refused version."""

    decision: int = Field(examples=[5])
    at: dt.datetime = Field(examples=_AT)
    version: str = Field(examples=_VERSION)
    against: str | None = Field(examples=_OTHER)
    made: str = Field(examples=["recalibrated"])
    reason: str = Field(examples=["the fine tuned model is preferred"])
    by: str = Field(examples=["gate"])


class LoopTrainingDocument(Document):
    """One job that trained, judged or watched a model."""

    job: int = Field(examples=[12])
    task: JobTask = Field(examples=["fine_tune"])
    state: JobState = Field(examples=["done"])
    requested_by: str = Field(examples=["tidemark"])
    about_job: int | None = Field(description="the night that asked for it", examples=[11])
    created_at: dt.datetime = Field(examples=_AT)
    finished_at: dt.datetime | None = Field(examples=_AT)
    seconds: float | None = Field(description="worker time", examples=[83.4])
    detail: str | None = Field(description="why it failed", examples=[None])
    reason: str | None = Field(description="the judgement", examples=["every check passed"])


class LoopEventDocument(Document):
    """An alert of the trigger, a request for a training, a hold or a release."""

    at: dt.datetime = Field(examples=_AT)
    event: str = Field(examples=["retraining.alert"])
    who: str = Field(examples=["monitor"])
    why: str = Field(examples=["12 new bad outcomes, 300 are needed"])
    job: int | None = Field(examples=[11])


class LoopNightDocument(Document):
    """One finished scoring job."""

    job: int = Field(examples=[11])
    date: dt.date = Field(examples=_DAY)
    model_version: str = Field(examples=_VERSION)
    verdict: Verdict | None = Field(examples=["stable"])
    scored: int = Field(examples=[25_800])
    unusable_reason: str | None = Field(examples=[None])
    trust: str | None = Field(description="whether its outcomes are trusted; null = not judged", examples=["trusted"])
    trust_reason: str | None = Field(examples=[None])
    realised: RealisedDocument


class LoopPage(Page):
    """All models of a portfolio over time, newest first; `nights` come in pages."""

    portfolio: str = Field(examples=["customers"])
    title: str = Field(examples=["Customers"])
    champion: str | None = Field(examples=_VERSION)
    next: NextDocument
    totals: LoopTotals
    models: list[LoopModelDocument]
    retrainings: list[RetrainingDocument]
    refusals: list[RefusalDocument]
    trainings: list[LoopTrainingDocument]
    events: list[LoopEventDocument]
    nights: list[LoopNightDocument]
    left_out: list[str] = Field(description="lists of which only the newest rows are counted and shown", examples=[[]])
