"""Judges a challenger again that was waiting for evidence."""

from logging import getLogger

import numpy as np

from db.connections.engine import reading, writing
from db.ledger.job_closing import complete_whole_job
from db.ledger.shard_histograms import read_job_counts
from db.ledger.shard_leases import Claim
from db.registry.champions import decide, get_champion
from db.registry.versions import LearnedUntil, get_model
from db.results.shadow_scores import list_shadow_jobs, read_shadow_points
from db.retraining.retraining_state import change_retraining, lock_retraining, mark_judged
from db.schema.states import ModelState
from transformer.records.splitting import hash_order
from worker.drift import Histogram, compare, merge
from worker.gate.decisions import decision_of, held_back
from worker.gate.evidence import Measured, count_canary_mismatches, gather_evidence
from worker.gate.judgement import judge_challenger
from worker.learning.lesson_plan import NO_ROWS, OLD_JUDGING_SHARE, TrainingPlan
from worker.learning.readable_records import Records, parts_of, read_records
from worker.runtime.bundle_reading import load_stored
from worker.runtime.context import WorkerContext
from worker.runtime.portfolio_mapping import scale_of

logger = getLogger(__name__)


def judge_again_claimed(context: WorkerContext, claim: Claim) -> None:
    """Let the gate judge a waiting challenger on the present evidence; other versions are left unchanged."""
    definition, heartbeat, engine = claim.job.definition, context.heartbeat(claim), context.engine
    version: str = claim.job.options["version"]
    champion_before, waiting = get_champion(engine, definition.name), get_model(engine, version)
    if champion_before is None or waiting.state is not ModelState.CHALLENGER:
        with writing(context.engine) as connection:
            complete_whole_job(
                connection, claim, result={"promoted": False, "reason": f"{version} is no longer waiting"}
            )
        return
    url = context.settings.bundles_url
    champion, challenger = (load_stored(engine, url, one) for one in (champion_before.version, version))
    records = read_records(context, definition, champion, waiting, heartbeat)
    parts = parts_of(records, _judging_part_of(records, waiting.learned_until), definition.segments)
    measured = Measured(parts, heartbeat)
    nights, shadow = _shadow_of(context, version)
    evidence = gather_evidence(
        parts,
        measured,
        champion,
        challenger,
        scale_of(definition),
        canary_mismatches=count_canary_mismatches(url, version, parts, measured.probabilities(challenger)),
        cut_off=definition.retraining.cut_off,
        shadow_nights=nights,
        shadow_nights_wanted=definition.retraining.shadow_nights,
        shadow_psi=shadow,
    )
    judgement = judge_challenger(evidence, definition.retraining.gate)
    with writing(engine) as connection:
        state = lock_retraining(connection, definition.name)
        judged = held_back(judgement) if state.is_held else judgement
        decision = decision_of(claim, version, champion_before, judged, is_first=True, made="second look")
        is_promoted = decide(connection, decision, champion_before=champion_before)
        newest = records.labels.newest(np.arange(len(records.keys))).outcome_id
        mark_judged(connection, version, outcome_id=newest, shadow_nights=nights)
        if is_promoted:
            change_retraining(connection, definition.name, failures=0)
        result = {"promoted": is_promoted, "reason": judged.reason}
        complete_whole_job(connection, claim, result=result, model_version=version)
    logger.info("Judged again: job %d, version %s, %s: %s.", claim.job.id, version, judged.outcome, judged.reason)


def _judging_part_of(records: Records, learned: LearnedUntil) -> TrainingPlan:
    """Judge by new records of later days than the challenger learned from, and by a share of the old ones."""
    learned_date = learned.outcome_date or learned.as_of
    dates, order = records.labels.dates, hash_order(records.groups)
    judging = np.flatnonzero(records.is_new & (dates > learned_date))
    old = np.flatnonzero(~records.is_new & (order < OLD_JUDGING_SHARE))
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
