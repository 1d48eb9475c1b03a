"""Plays the loop over the stored past of a portfolio, with its own policy or another one. Changes nothing."""

from dataclasses import replace
from datetime import date
from logging import getLogger
from typing import Any

import numpy as np
from numpy.typing import NDArray

from db.connections.engine import Engine, reading, writing
from db.ledger.job_closing import complete_whole_job
from db.ledger.job_lifecycle import find_job
from db.ledger.shard_leases import Claim
from db.portfolios.definition import PortfolioDefinition
from db.portfolios.retraining_policy import RetrainingPolicy
from transformer.errors import TrainingDataError
from transformer.records.column_reading import read_columns
from transformer.records.record_store import chunks_of
from transformer.training.model_training import TrainingOptions
from worker.learning.book_reading import LabelledRecords, read_labelled
from worker.replay.loop_player import Loop
from worker.replay.models import Workshop
from worker.replay.past import FIRST, Past, Rows
from worker.replay.players import AT_ALARMS, EVERY_MONTH, NEVER, THE_LOOP, make_player
from worker.replay.playing import Played, compare_played, play
from worker.runtime.context import WorkerContext
from worker.runtime.portfolio_mapping import scale_of, schema_of

logger = getLogger(__name__)

REPLAY = "replay"  # option of a training: play over the past in place of it
LEAST_NIGHTS = 2


def replay_claimed(context: WorkerContext, claim: Claim) -> None:
    """Carry out one replay; the job's result is the comparison."""
    definition, asked = claim.job.definition, claim.job.options[REPLAY]
    stored = asked.get("policy")
    policy = definition.retraining if stored is None else RetrainingPolicy.from_document(stored)
    heartbeat = context.heartbeat(claim)
    known = read_labelled(context, definition, definition.input_columns, heartbeat)
    past = past_of(context.engine, definition, known, start=date.fromisoformat(asked["from"]))
    first = Workshop(
        past, policy, scale_of(definition), TrainingOptions(quick=bool(asked.get("quick"))), beat=heartbeat
    )
    model = first.train(past.rows_of(FIRST), learned_night=FIRST)
    first = replace(first, past=past.reading(model.loaded.schema))
    played: dict[str, Played] = {}
    told: list[dict[str, Any]] = []
    for name in (NEVER, THE_LOOP, EVERY_MONTH, AT_ALARMS):
        workshop = replace(first, trainings=0)
        player = make_player(name, model, workshop)
        played[name] = play(player, workshop)
        told = player.told if isinstance(player, Loop) else told
        heartbeat.renew({"stage": f"played: {name}"})
    result = _document(past, played, told)
    with writing(context.engine) as connection:
        complete_whole_job(connection, claim, result={REPLAY: result})
    logger.info("Replayed: job %d, portfolio %s, %d nights.", claim.job.id, definition.name, len(past.dates))


def past_of(engine: Engine, definition: PortfolioDefinition, known: LabelledRecords, *, start: date) -> Past:
    """Return the stored past of a portfolio: nights from `start` on, and all records before as the first training's.

    An outcome is known before a night if its date is earlier. Raises `TrainingDataError` with fewer than two nights.
    """
    usable = _usable_rows(definition, known)
    labels = known.labels.part(usable)
    nights = _nights(engine, labels.scored_jobs, start)
    if len(nights) < LEAST_NIGHTS:
        raise TrainingDataError(
            f"expected {LEAST_NIGHTS} nights with known outcomes or more since {start}, got {len(nights)}",
            "choose an earlier date, or load outcomes: tidemark outcomes load NAME FILE",
        )
    numbers = {job: number for number, (job, _) in enumerate(nights)}
    night = np.array([numbers.get(job, FIRST) for job in labels.scored_jobs.tolist()], dtype=np.int64)
    dates = tuple(one for _, one in nights)
    known_from = np.searchsorted(np.array([str(one) for one in dates]), labels.dates.astype(str), side="right")
    known_from = np.where(labels.dates == "", 0, np.maximum(known_from, night + 1))
    records = known.records.part(usable)
    return Past(
        records, labels.target, known.keys[usable], night, known_from.astype(np.int64), dates, schema_of(definition)
    )


def _usable_rows(definition: PortfolioDefinition, known: LabelledRecords) -> Rows:
    is_usable = ~np.isnan(known.labels.target)
    schema = schema_of(definition)
    for place, frame in chunks_of(known.records, schema.columns):
        _, problems = read_columns(frame, schema)
        is_usable[[place.start + one.row for one in problems]] = False
    return np.flatnonzero(is_usable)


def _nights(engine: Engine, scored_jobs: NDArray[np.int64], start: date) -> list[tuple[int, date]]:
    """Return the scoring jobs whose outcomes are known and whose date is not before the start, oldest first."""
    with reading(engine) as connection:
        jobs = [find_job(connection, job) for job in np.unique(scored_jobs[scored_jobs > 0]).tolist()]
    dated = [(one.id, one.definition.monitoring.date_of(one.options, one.created_at)) for one in jobs]
    return sorted((one for one in dated if one[1] >= start), key=lambda one: (one[1], one[0]))


def _document(past: Past, played: dict[str, Played], told: list[dict[str, Any]]) -> dict[str, Any]:
    dates = [str(one) for one in past.dates]
    return {
        "nights": len(dates),
        "first_night": dates[0],
        "last_night": dates[-1],
        "records": len(past.target),
        "policies": {name: one.to_document() for name, one in played.items()},
        "against_never": {name: compare_played(one, played[NEVER]) for name, one in played.items() if name != NEVER},
        "loop": [{**one, "night": dates[one["night"]]} for one in told],
    }
