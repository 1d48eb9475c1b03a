"""A portfolio's loop as one report: models over time, what each retraining brought and cost, what was refused. Pure.

`loop_documents` writes it as JSON, `loop_sections` as tables for people.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from db.retraining.loop_history import LoopDecision, LoopEvent, LoopHistory, LoopModel, LoopNight, LoopTraining
from db.retraining.next_look import NextLook
from db.schema.states import JobState, JobTask, Verdict
from scheduler.reports.loop_gains import Compared, Realised, compare_nights, measured_gain, realise, watched_gain

_JUDGES = (JobTask.GATE, JobTask.WATCH)
_MADE_BY = {JobTask.TRAIN: "trained", JobTask.FINE_TUNE: "fine_tuned", JobTask.PRETRAIN: "pretrained"}
_NOT_MADE = {None, "second look"}  # what a decision says instead of how the model was made


@dataclass(frozen=True)
class Reign:
    """The time for which a version was champion. `ended_by` is the action that ended it; None for the present one."""

    version: str
    since: datetime
    until: datetime | None
    began_by: str
    ended_by: str | None


@dataclass(frozen=True)
class ModelStory:
    """One version from its training to its retirement."""

    model: LoopModel
    made: str
    promoted_at: datetime | None
    retired_at: datetime | None
    ended_by: str | None
    nights: int
    first_night: str | None
    last_night: str | None
    verdicts: dict[str, int]
    unusable_nights: int
    realised: Realised


@dataclass(frozen=True)
class Retraining:
    """One judged or promoted version: what the gate measured, what became of it, and what its job cost.

    `watched` compares both models on the same later records, `own_nights` each on the nights that it scored.
    `after_night` is the date of the newest night at that time, by the book's calendar.
    """

    decision: LoopDecision
    after_night: str | None
    made: str
    outcome: str
    seconds: float | None
    measured: list[Compared]
    watched: list[Compared]
    watched_outcomes: int | None
    own_nights: list[Compared]


@dataclass(frozen=True)
class Totals:
    """The whole history in numbers; `training_seconds` is the time of workers, judgements included."""

    models: int
    promotions: int
    refusals: int
    rollbacks: int
    alerts: int
    trainings: int
    failed_trainings: int
    training_seconds: float
    nights: int
    unusable_nights: int
    realised: Realised


@dataclass(frozen=True)
class LoopReport:
    """Everything that the page shows, oldest first. `left_out` names the lists whose oldest rows are missing."""

    portfolio: str
    title: str
    champion: str | None
    next_look: NextLook
    totals: Totals
    models: list[ModelStory]
    reigns: list[Reign]
    retrainings: list[Retraining]
    refusals: list[LoopDecision]
    decisions: list[LoopDecision]
    trainings: list[LoopTraining]
    events: list[LoopEvent]
    nights: list[LoopNight]
    left_out: tuple[str, ...]

    def made(self, version: str) -> str:
        """How a version was made, such as "fine_tuned"."""
        return next((one.made for one in self.models if one.model.version == version), "unknown")


def build_report(
    portfolio: str, title: str, history: LoopHistory, look: NextLook, *, champion: str | None
) -> LoopReport:
    """Return the report of a portfolio."""
    reigns = find_reigns(history.decisions)
    jobs = {one.job_id: one for one in history.trainings}
    of_version: dict[str, list[LoopNight]] = {}
    for night in history.nights:
        of_version.setdefault(night.model_version, []).append(night)
    models = [_tell_model(one, history.decisions, jobs, reigns, of_version) for one in history.models]
    stories = {one.model.version: one for one in models}
    judged = [one for one in history.decisions if one.action in ("gate", "undecided", "promote")]
    refusals = [one for one in judged if not one.promoted and one.action == "gate"]
    return LoopReport(
        portfolio=portfolio,
        title=title,
        champion=champion,
        next_look=look,
        totals=_add_up(history, refusals),
        models=models,
        reigns=reigns,
        retrainings=[_tell_retraining(one, history, jobs, stories) for one in judged],
        refusals=refusals,
        decisions=history.decisions,
        trainings=history.trainings,
        events=history.events,
        nights=history.nights,
        left_out=history.left_out,
    )


def find_reigns(decisions: Sequence[LoopDecision]) -> list[Reign]:
    """Return who was champion when, from the decisions, oldest first."""
    moves: list[LoopDecision] = []
    for one in decisions:
        if one.promoted and (not moves or moves[-1].version != one.version):
            moves.append(one)
    return [
        Reign(
            one.version,
            one.at,
            None if after is None else after.at,
            one.action,
            None if after is None else after.action,
        )
        for one, after in zip(moves, [*moves, None][1:], strict=True)
    ]


def _tell_model(
    model: LoopModel,
    decisions: Sequence[LoopDecision],
    jobs: Mapping[int, LoopTraining],
    reigns: Sequence[Reign],
    of_version: Mapping[str, list[LoopNight]],
) -> ModelStory:
    nights = of_version.get(model.version, [])
    own = [one for one in reigns if one.version == model.version]
    was_rolled_back = any(one.ended_by == "rollback" for one in own)
    verdicts: dict[str, int] = {}
    for night in nights:
        if night.verdict is not None:
            verdicts[night.verdict.value] = verdicts.get(night.verdict.value, 0) + 1
    return ModelStory(
        model=model,
        made=_made(model, decisions, jobs),
        promoted_at=own[0].since if own else None,
        retired_at=own[-1].until if own else None,
        ended_by=own[-1].ended_by if own else None,
        nights=len(nights),
        first_night=min((one.date for one in nights), default=None),
        last_night=max((one.date for one in nights), default=None),
        verdicts=verdicts,
        unusable_nights=sum(one.unusable_reason is not None for one in nights),
        realised=realise(one for one in nights if _says_something(one, was_rolled_back=was_rolled_back)),
    )


def _says_something(night: LoopNight, *, was_rolled_back: bool) -> bool:
    """Whether the outcomes of a night say how good its model is: not if something was wrong with its records.

    The nights of a model that was rolled back are marked as unusable for that reason, and still say why.
    """
    return night.unusable_reason is None or (was_rolled_back and night.verdict is not Verdict.BROKEN_PIPELINE)


def _made(model: LoopModel, decisions: Sequence[LoopDecision], jobs: Mapping[int, LoopTraining]) -> str:
    """How a version was made: as its first decision says, else by the task of its job."""
    own = [one for one in decisions if one.version == model.version]
    said = next((one.made for one in own if one.made not in _NOT_MADE), None)
    if said is None and any(one.action == "scrub" for one in own):
        return "scrubbed"
    job = None if model.job_id is None else jobs.get(model.job_id)
    return said or ("trained" if job is None else _MADE_BY.get(job.task, job.task.value))


def _tell_retraining(
    decision: LoopDecision,
    history: LoopHistory,
    jobs: Mapping[int, LoopTraining],
    stories: Mapping[str, ModelStory],
) -> Retraining:
    story, before = stories.get(decision.version), stories.get(decision.against or "")
    watched, count = watched_gain(decision.version, history.trainings) if decision.promoted else ([], None)
    own_nights: list[Compared] = []
    if decision.promoted and story is not None and before is not None:
        own_nights = compare_nights(before.realised, story.realised)
    job = None if decision.job_id is None else jobs.get(decision.job_id)
    return Retraining(
        decision=decision,
        after_night=next((one.date for one in reversed(history.nights) if one.created_at <= decision.at), None),
        made="unknown" if story is None else story.made,
        outcome=_name_outcome(decision),
        seconds=None if job is None else job.seconds,
        measured=measured_gain(decision),
        watched=watched,
        watched_outcomes=count,
        own_nights=own_nights,
    )


def _name_outcome(decision: LoopDecision) -> str:
    if decision.promoted:
        return "promoted by hand" if decision.action == "promote" else "promoted"
    return "undecided" if decision.action == "undecided" else "refused"


def _add_up(history: LoopHistory, refusals: Sequence[LoopDecision]) -> Totals:
    trained = [one for one in history.trainings if one.task not in _JUDGES]
    usable = [one for one in history.nights if one.unusable_reason is None]
    return Totals(
        models=len(history.models),
        promotions=sum(one.promoted and one.action in ("gate", "promote") for one in history.decisions),
        refusals=len(refusals),
        rollbacks=sum(one.action == "rollback" for one in history.decisions),
        alerts=sum(one.event == "retraining.alert" for one in history.events),
        trainings=len(trained),
        failed_trainings=sum(one.state is JobState.FAILED for one in trained),
        training_seconds=sum(one.seconds or 0.0 for one in history.trainings),
        nights=len(history.nights),
        unusable_nights=len(history.nights) - len(usable),
        realised=realise(usable),
    )
