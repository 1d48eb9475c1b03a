"""Scores one shard: claim, read, score, write. Read this file to understand the product.

claim        db.ledger.shard_leases        the right to work on a range of keys, until the lease ends
read         worker.records.event_reading  the range's records as a frame, with what their events amount to
score        transformer      probabilities and reasons, or why a record cannot be scored
count        worker.scoring.monitor_counts  what the monitor will look at, so that it need not read a score again
write        db.results.shard_results        scores, rejects, histogram, counters and completion: one transaction
"""

import json
from dataclasses import replace
from logging import getLogger
from time import perf_counter

import numpy as np
import pandas as pd

from db.ledger.digests import data_digest, score_digest
from db.ledger.shard_leases import Claim
from db.portfolios.definition import PortfolioDefinition
from db.privacy.key_secret import require_key_secret
from db.results.shard_results import Reject, ShardResult, complete_scored_shard
from db.sources.source_table import RECORD_KEY, ROW, UNREADABLE
from transformer.reasons.explainer import as_json_texts
from transformer.records.column_reading import Problem
from transformer.records.schema import RecordSchema
from transformer.scoring.points import ScoreScale
from transformer.scoring.scorer import ScoredRecords, Scorer
from worker.contract.messages import SCORING_QUEUE
from worker.records.event_reading import NO_MOMENT, read_shard
from worker.records.moments import date_of_night
from worker.runtime.context import WorkerContext, claimed_shard
from worker.runtime.heartbeat import Heartbeat
from worker.runtime.portfolio_mapping import scale_of
from worker.scoring.key_hashing import hide_keys
from worker.scoring.model_cache import ModelSlot
from worker.scoring.monitor_counts import ScoredShard, count_shard
from worker.scoring.shadow_scoring import ShadowRecords, score_shadow

logger = getLogger(__name__)

_REASON_TEXTS = {
    "missing_key": "the record has no key{where}",
    "duplicate_key": "an earlier record has the same key{where}",
    "not_a_number": "expected a number, got {value!r}",
    "infinite": "expected a finite number, got {value}",
    NO_MOMENT: "expected the time at which the record is judged, such as 2026-11-24T09:30:00{where}",
}


def score_next_shard(context: WorkerContext, slot: ModelSlot, hint: int | None = None) -> bool:
    """Score the hinted shard, or the best waiting one; return whether there was one.

    `worker.scoring.overlapped_scoring` takes the same steps for several shards at once.
    """
    with claimed_shard(context, SCORING_QUEUE, hint) as claim:
        if claim is not None:
            started, heartbeat = perf_counter(), context.heartbeat(claim)
            heartbeat()
            frame = read_claimed(context, claim, slot.scorer(model_of(claim)).schema)
            result = score_claimed(context, slot, claim, frame, heartbeat)
            write_claimed(context, claim, result, started=started)
    return claim is not None


def read_claimed(context: WorkerContext, claim: Claim, schema: RecordSchema) -> pd.DataFrame:
    """Return the records of a claimed shard, with the columns that its model reads, those made of events too."""
    job = claim.job
    night, now = date_of_night(job), job.created_at
    return read_shard(context.engine, job.definition, schema, claim.key_range, night=night, now=now)


def score_claimed(
    context: WorkerContext, slot: ModelSlot, claim: Claim, frame: pd.DataFrame, heartbeat: Heartbeat
) -> ShardResult:
    """Return the result of a shard: scores, rejects, and the monitor's counts."""
    heartbeat()
    job, scorer = claim.job, slot.scorer(model_of(claim))
    unusable = find_unusable_rows(frame, job.definition)
    usable = frame.drop(index=list(unusable)) if unusable else frame
    scored = scorer.score(usable, on_batch=heartbeat, with_reasons=job.options.get("reasons", True))
    result = build_result(frame, usable, unusable, scored, scorer, scale_of(job.definition))
    require_key_secret(context.engine, job.definition, context.key_secret)
    result = hide_keys(result, claim, context.key_secret)
    canary = slot.canary(scorer.version, job.id)
    monitored = count_shard(context.engine, claim, ScoredShard(scorer, usable, scored, result, canary))

    def read_again(schema: RecordSchema) -> pd.DataFrame:
        return read_claimed(context, claim, schema).drop(index=list(unusable))

    records = ShadowRecords(usable, scored, read_again)
    shadow = score_shadow(context.engine, slot, job, records, heartbeat)
    heartbeat()
    return replace(result, monitored=monitored, shadow=shadow)


def write_claimed(context: WorkerContext, claim: Claim, result: ShardResult, *, started: float) -> None:
    """Write the result and complete the shard. Raises `LeaseLostError`, and writes nothing, if the lease is lost."""
    complete_scored_shard(context.engine, claim, result, worker=context.name)
    logger.info(
        "Shard scored: job %d, shard %d, attempt %d, model %s, %d scored, %d rejected, %.2f s.",
        *(claim.job.id, claim.ordinal, claim.attempt, model_of(claim)),
        *(len(result.record_keys), len(result.rejects), perf_counter() - started),
    )


def model_of(claim: Claim) -> str:
    """Return the version that scores the shard."""
    assert claim.job.model_version is not None, "a scoring job must have a model version"
    return claim.job.model_version


def find_unusable_rows(frame: pd.DataFrame, definition: PortfolioDefinition) -> dict[int, Problem]:
    """Return the rows rejected before scoring, by position: missing or duplicate key, unreadable text, no moment."""
    keys, key = frame[RECORD_KEY], definition.key
    missing = keys.isna().to_numpy()
    repeated = keys.duplicated(keep="first").to_numpy() & ~missing
    unusable = {int(row): Problem(int(row), key, "missing_key", "") for row in np.flatnonzero(missing)}
    unusable |= {int(row): Problem(int(row), key, "duplicate_key", "") for row in np.flatnonzero(repeated)}
    for row in np.flatnonzero(frame[UNREADABLE].notna().to_numpy()):
        field, text = next(iter(json.loads(frame[UNREADABLE].iloc[row]).items()))
        unusable.setdefault(int(row), Problem(int(row), field, "not_a_number", text))
    for row in frame.attrs.get(NO_MOMENT, ()):
        unusable.setdefault(int(row), Problem(int(row), definition.moment_column or "", NO_MOMENT, ""))
    return unusable


def build_result(
    frame: pd.DataFrame,
    usable: pd.DataFrame,
    unusable: dict[int, Problem],
    scored: ScoredRecords,
    scorer: Scorer,
    scale: ScoreScale,
) -> ShardResult:
    """Join scores and rejects of a shard: every row of the frame is in exactly one of them."""
    positions = usable.index.to_numpy()
    problems = unusable | {int(positions[one.row]): one for one in scored.problems}
    record_keys = usable[RECORD_KEY].to_numpy(dtype=object)[scored.rows]
    points = scale.points_of(scored.probabilities)
    values, counts = np.unique(points, return_counts=True)
    return ShardResult(
        record_keys=record_keys,
        probabilities=scored.probabilities,
        points=points,
        bands=scale.band_of(points),
        rejects=[_as_reject(frame, row, problems[row]) for row in sorted(problems)],
        histogram={str(value): count for value, count in zip(values.tolist(), counts.tolist(), strict=True)},
        digest=score_digest(record_keys, scored.probabilities, scorer.version),
        data_digest=data_digest(frame.drop(columns=[ROW])),
        reasons=None if scored.reasons is None else as_json_texts(scored.reasons, scorer.reason_codes).tolist(),
    )


def _as_reject(frame: pd.DataFrame, row: int, problem: Problem) -> Reject:
    key, loaded_row = frame[RECORD_KEY].iloc[row], frame[ROW].iloc[row]
    where = "" if pd.isna(loaded_row) else f" (row {int(loaded_row)} of the loaded file)"
    detail = _REASON_TEXTS[problem.reason].format(value=problem.value, where=where)
    return Reject(row, None if pd.isna(key) else str(key), problem.field, problem.reason, detail)
