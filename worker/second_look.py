"""Looks again at models that exist: a challenger that waited for evidence, a champion whose outcomes came in."""

from dataclasses import replace
from logging import getLogger
from typing import Any

import numpy as np

from db.closing import complete_whole_job
from db.engine import reading, writing
from db.histograms import read_job_counts
from db.promotion import roll_back_within
from db.registry import decide, find_champion, get_champion, get_model
from db.retraining import change_retraining, lock_retraining
from db.shadow import list_shadow_jobs, read_shadow_points
from db.shards import Claim
from db.states import ModelState
from transformer.splitting import hash_order
from worker.bundle_reading import load_stored
from worker.context import WorkerContext
from worker.drift import Histogram, compare, merge
from worker.examination import Measured, count_canary_mismatches, gather_evidence
from worker.fine_tuning import decision_of, held_back
from worker.gate import judge_challenger
from worker.learnable_records import parts_of, read_records
from worker.lessons import OLD_EXAM_SHARE, LessonPlan
from worker.paired import compare_brier
from worker.portfolio_terms import scale_of

logger = getLogger(__name__)

NOTHING = np.zeros(0, dtype=np.int64)


def judge_again_claimed(context: WorkerContext, claim: Claim) -> None:
    """Let the gate judge a waiting challenger by what is known by now; a version that no longer waits is left alone."""
    definition, heartbeat, engine = claim.job.definition, context.heartbeat(claim), context.engine
    version: str = claim.job.options["version"]
    seen, waiting = get_champion(engine, definition.name), get_model(engine, version)
    if seen is None or waiting.state is not ModelState.CHALLENGER:
        _end(context, claim, {"promoted": False, "reason": f"{version} no longer waits"})
        return
    url = context.settings.bundles_url
    champion, challenger = (load_stored(engine, url, one) for one in (seen.version, version))
    learned = waiting.learned_until or {}
    records = read_records(context, definition, champion, waiting, heartbeat)
    learned_date = str(learned.get("outcome_date") or learned.get("as_of") or "")
    dates, order = records.labels.dates, hash_order(records.groups)
    exam = np.flatnonzero(records.is_new & (dates > learned_date))
    old = np.flatnonzero(~records.is_new & (order < OLD_EXAM_SHARE))
    exam_date = str(min(dates[exam].tolist(), default=""))
    parts = parts_of(
        records, LessonPlan(NOTHING, NOTHING, exam, NOTHING, old, learned_date, exam_date), definition.segments
    )
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
        decision = decision_of(claim, version, seen, judged, is_first=True, made="second look")
        is_promoted = decide(connection, decision, seen=seen)
        newest = records.labels.newest(np.arange(len(records.keys)))["outcome_id"]
        gated = {"version": version, "outcome_id": newest, "shadow_nights": nights}
        tried: dict[str, Any] = {"tried_until": {**(state.tried_until or {}), "gated": gated}}
        change_retraining(connection, definition.name, **tried, **({"failures": 0} if is_promoted else {}))
        result = {"promoted": is_promoted, "reason": judged.reason}
        complete_whole_job(connection, claim, result=result, model_version=version)
    logger.info("Judged again: job %d, version %s, %s: %s.", claim.job.id, version, judged.outcome, judged.reason)


def watch_champion_claimed(context: WorkerContext, claim: Claim) -> None:
    """Compare champion and predecessor on outcomes that came since; take the champion back if it is proven worse."""
    definition, heartbeat, options = claim.job.definition, context.heartbeat(claim), claim.job.options
    seen = get_champion(context.engine, definition.name)
    if seen is None or seen.version != options["version"]:
        _end(context, claim, {"rolled_back": False, "reason": "another champion is in place by now"})
        return
    url = context.settings.bundles_url
    champion, before = (load_stored(context.engine, url, one) for one in (seen.version, options["before"]))
    since = replace(get_model(context.engine, seen.version), learned_until={"outcome_id": options["after_outcome"]})
    records = read_records(context, definition, champion, since, heartbeat)
    exam = np.flatnonzero(records.is_new)
    parts = parts_of(records, LessonPlan(NOTHING, NOTHING, exam, NOTHING, NOTHING, "", ""), ())
    measured = Measured(parts, heartbeat)
    loss = compare_brier(
        parts.target,
        measured.probabilities(before),
        measured.probabilities(champion),
        confidence=definition.retraining.gate.confidence,
    )
    figures = {"brier": loss.to_document(), "outcomes": len(exam), "job": claim.job.id}
    told = f"Brier score {loss.challenger:.4f} against {loss.champion:.4f} of {options['before']}"
    why = f"{told} on {len(exam)} outcomes since"
    newest = records.labels.newest(np.arange(len(records.keys)))["outcome_id"]
    with writing(context.engine) as connection:
        state = lock_retraining(connection, definition.name)
        changes: dict[str, Any] = {"tried_until": {**(state.tried_until or {}), "watched_id": newest}}
        is_worse = loss.low > 0 and find_champion(connection, definition.name) == seen
        if is_worse:
            roll_back_within(connection, definition.name, who="watch", why=why, figures=figures)
            changes["failures"] = state.failures + 1
        change_retraining(connection, definition.name, **changes)
        complete_whole_job(connection, claim, result={"rolled_back": is_worse, "reason": why} | figures)
    logger.info("Champion watched: job %d, version %s, taken back %s: %s.", claim.job.id, seen.version, is_worse, why)


def _shadow_of(context: WorkerContext, version: str) -> tuple[int, float | None]:
    """Return the nights that a challenger scored in shadow, and the PSI between its points and the champion's."""
    nights = list_shadow_jobs(context.engine, version)
    if not nights:
        return 0, None
    shadow = _histogram(read_shadow_points(context.engine, version))
    with reading(context.engine) as connection:
        champion = merge(_histogram(night["points"]) for night in read_job_counts(connection, nights).values())
    return len(nights), compare(champion, shadow).psi


def _histogram(points: dict[str, int]) -> Histogram:
    return Histogram({int(value): count for value, count in points.items()})


def _end(context: WorkerContext, claim: Claim, result: dict[str, Any]) -> None:
    with writing(context.engine) as connection:
        complete_whole_job(connection, claim, result=result)
