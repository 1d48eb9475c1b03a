"""Judges the challengers in the race again, on all outcomes that came after what each has learned from."""

from dataclasses import dataclass, replace
from logging import getLogger

import numpy as np

from db.connections.engine import reading, writing
from db.ledger.job_closing import complete_whole_job
from db.ledger.job_lifecycle import JobRequest, insert_job
from db.ledger.shard_histograms import read_job_counts
from db.ledger.shard_leases import Claim
from db.registry.champions import Champion, Record, decide, find_record, get_champion
from db.registry.versions import LearnedUntil, ModelVersion
from db.results.shadow_scores import list_shadow_jobs, read_shadow_points
from db.retraining.retraining_state import find_challengers, lock_retraining, mark_judged
from db.schema.states import JobKind, JobTask
from transformer.bundles.bundle import LoadedModel
from transformer.records.splitting import hash_order
from worker.drift import Histogram, compare, merge
from worker.gate.decisions import decision_of, held_back
from worker.gate.evidence import Measured, count_canary_mismatches, gather_evidence
from worker.gate.exam import Evidence
from worker.gate.judgement import Judgement, Outcome, judge_challenger
from worker.gate.preference import REFIT
from worker.learning.lesson_plan import NO_ROWS, OLD_JUDGING_SHARE, TrainingPlan
from worker.learning.readable_records import Records, describe_population, parts_of, read_records
from worker.runtime.bundle_reading import load_stored
from worker.runtime.context import WorkerContext
from worker.runtime.portfolio_mapping import scale_of
from worker.training.challenger_registration import clear_race

logger = getLogger(__name__)


@dataclass(frozen=True)
class _Runner:
    """A challenger in the race with its judgement, and the newest outcome and the shadow nights behind it."""

    model: ModelVersion
    record: Record
    judgement: Judgement
    outcome_id: int
    shadow_nights: int


def judge_again_claimed(context: WorkerContext, claim: Claim) -> None:
    """Let the gate judge every waiting challenger on the present evidence; other versions are left unchanged."""
    definition, engine = claim.job.definition, context.engine
    champion_before = get_champion(engine, definition.name)
    with reading(engine) as connection:
        waiting = [(one, find_record(connection, one.version)) for one in find_challengers(connection, definition.name)]
    if champion_before is None or not waiting:
        with writing(engine) as connection:
            complete_whole_job(connection, claim, result={"promoted": False, "reason": "no challenger is waiting"})
        return
    champion = load_stored(engine, context.settings.bundles_url, champion_before.version)
    runners = [_look_at(context, claim, champion, one, record) for one, record in waiting]
    _conclude(context, claim, champion_before, _first_only(runners))


def _look_at(
    context: WorkerContext, claim: Claim, champion: LoadedModel, waiting: ModelVersion, record: Record
) -> _Runner:
    definition, heartbeat, url = claim.job.definition, context.heartbeat(claim), context.settings.bundles_url
    challenger = load_stored(context.engine, url, waiting.version)
    is_refit = record.made == REFIT
    records = read_records(context, definition, champion, waiting, heartbeat, with_own=is_refit)
    plan = _judging_part_of(records, waiting.learned_until, is_refit=is_refit)
    parts = parts_of(records, plan, definition.segments)
    measured = Measured(parts, heartbeat)
    nights, shadow = _shadow_of(context, waiting.version)
    evidence: Evidence = gather_evidence(
        parts,
        measured,
        champion,
        challenger,
        scale_of(definition),
        canary_mismatches=count_canary_mismatches(url, waiting.version, parts, measured.probabilities(challenger)),
        cut_off=definition.retraining.cut_off,
        shadow_nights=nights,
        shadow_nights_wanted=definition.retraining.shadow_nights,
        shadow_psi=shadow,
        is_refit=is_refit,
        looks=record.looks,
        population=describe_population(context.engine, definition.name, records, plan.judging),
    )
    newest = records.labels.newest(np.arange(len(records.keys))).outcome_id
    return _Runner(waiting, record, judge_challenger(evidence, definition.retraining.gate), newest, nights)


def _first_only(runners: list[_Runner]) -> list[_Runner]:
    """Of several that passed, the newest one is promoted, which has learned most; the others are refused."""
    passed = [one for one in runners if one.judgement.outcome is Outcome.PROMOTE]
    why = "a newer challenger passed too"
    return [
        replace(one, judgement=Judgement(promoted=False, reason=why, figures=one.judgement.figures))
        if one in passed[1:]
        else one
        for one in runners
    ]


def _conclude(context: WorkerContext, claim: Claim, champion_before: Champion, runners: list[_Runner]) -> None:
    name = claim.job.definition.name
    told = next((one for one in runners if one.judgement.outcome is Outcome.PROMOTE), runners[0])
    with writing(context.engine) as connection:
        state = lock_retraining(connection, name)
        is_promoted, reason = False, told.judgement.reason
        for one in runners:
            judged = held_back(one.judgement) if state.is_held else one.judgement
            made = one.record.made or "second look"
            decision = decision_of(claim, one.model.version, champion_before, judged, is_first=one is told, made=made)
            if decide(connection, decision, champion_before=champion_before):
                is_promoted = True
            mark_judged(connection, one.model.version, outcome_id=one.outcome_id, shadow_nights=one.shadow_nights)
            reason = judged.reason if one is told else reason
        if is_promoted:
            clear_race(connection, claim, champion_before, is_promoted=True)
        # What had to wait for this job has its turn now.
        insert_job(connection, JobRequest(JobKind.MONITORING, name, "gate", {}, task=JobTask.VINTAGES))
        result = {"promoted": is_promoted, "reason": reason}
        complete_whole_job(connection, claim, result=result, model_version=told.model.version)
    logger.info(
        "Judged again: job %d, version %s, promoted %s: %s.", claim.job.id, told.model.version, is_promoted, reason
    )


def _judging_part_of(records: Records, learned: LearnedUntil, *, is_refit: bool) -> TrainingPlan:
    """Judge by new records of later days than the challenger learned from, and by a share of the old ones.

    A refit has learned from the old ones.
    """
    learned_date = learned.outcome_date or learned.as_of
    dates, order = records.labels.dates, hash_order(records.groups)
    judging = np.flatnonzero(records.is_new & (dates > learned_date))
    old = NO_ROWS if is_refit else np.flatnonzero(~records.is_new & (order < OLD_JUDGING_SHARE))
    judging_date = str(min(dates[judging].tolist(), default=""))
    return TrainingPlan(NO_ROWS, NO_ROWS, judging, NO_ROWS, old, learned_date, judging_date)


def _shadow_of(context: WorkerContext, version: str) -> tuple[int, float | None]:
    """Return the number of a challenger's shadow nights, and the PSI between its points and the champion's."""
    nights = list_shadow_jobs(context.engine, version)
    if not nights:
        return 0, None
    shadow = _histogram(read_shadow_points(context.engine, version))
    with reading(context.engine) as connection:
        champion = merge(_histogram(night["points"]) for night in read_job_counts(connection, nights).values())
    return len(nights), compare(champion, shadow).psi


def _histogram(points: dict[str, int]) -> Histogram:
    return Histogram({int(value): count for value, count in points.items()})
