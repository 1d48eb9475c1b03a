"""A made-up history of a portfolio's loop, written through the functions that the program uses.

m1 is trained and scores nights, the last of which drifts; an alert, then a fine-tuning that makes m2 (promoted) and
m2c (refused, the control). m2 scores nights, is watched, and is rolled back by a person. A challenger m3 waits.
"""

from typing import Any

from sqlalchemy import Engine

from db.connections.engine import writing
from db.events.event_log import record_event
from db.ledger.job_closing import complete_whole_job
from db.ledger.job_lifecycle import JobRequest, insert_job
from db.ledger.shard_leases import claim_shard
from db.monitoring.drift_reports import DriftReport, insert_report
from db.registry.champions import Champion, Decision, decide, get_champion
from db.registry.versions import LearnedUntil, register_model
from db.results.shard_results import complete_scored_shard
from db.retraining.outcomes import load_outcomes
from db.retraining.promotion import hold, roll_back
from db.retraining.retraining_state import change_retraining, lock_retraining
from db.retraining.vintages import Vintage, save_vintage
from db.schema.states import JobKind, JobTask, Verdict
from scheduler.loop.shard_planning import plan_queued_jobs
from tests.building import BOOK, book_definition, claim, load_book, result_for, start_scoring

GAIN = {
    "name": "gain", "passed": True, "said": "significantly better",
    "figures": {
        "ROC AUC": {"champion": 0.7, "challenger": 0.74, "difference": 0.04, "interval": [0.01, 0.07]},
        "Brier score": {"champion": 0.12, "challenger": 0.11, "difference": -0.01, "interval": [-0.02, -0.001]},
        "looks": 1, "reach": 1.75, "is_worse": False,
    },
}  # fmt: skip
WATCHED = {"champion": 0.12, "challenger": 0.125, "difference": 0.005, "interval": [-0.001, 0.011]}
RECORDS = 20


def tell_story(engine: Engine, **changes: Any) -> list[int]:
    """Write the history into a database with tables; return the ids of its nights, oldest first."""
    load_book(engine, range(RECORDS), **changes)
    training = _finish_job(engine, JobRequest(JobKind.TRAINING, BOOK, "ann", {}), {"reason": "the first model"})
    _register(engine, "m1", training, learned=400)
    _judge(engine, "m1", None, job_id=training, reason="the first model of this portfolio", promoted=True)
    nights = [_score(engine, "m1", f"2026-01-0{day}", Verdict.STABLE) for day in (1, 2)]
    nights.append(_score(engine, "m1", "2026-01-03", Verdict.DRIFTED))
    _alert(engine, nights[-1], "12 new bad outcomes, 300 are needed")
    load_outcomes(engine, BOOK, [(str(key), int(key < 5), "2026-01-04") for key in range(RECORDS)], who="test")
    _fine_tune(engine)
    nights += [_score(engine, "m2", f"2026-01-0{day}", Verdict.STABLE) for day in (4, 5)]
    load_outcomes(engine, BOOK, [(str(key), int(key < 5), "2026-01-06") for key in range(RECORDS)], who="test")
    _watch(engine)
    roll_back(engine, BOOK, who="bob", why="complaints from the branches")
    hold(engine, BOOK, held=True, who="bob", why="until the audit")
    hold(engine, BOOK, held=False, who="bob", why="")
    _register(engine, "m3", None, parent="m1", learned=440)
    _judge(engine, "m3", get_champion(engine, BOOK), reason="40 bad and 100 good outcomes", action="undecided")
    return nights


def _fine_tune(engine: Engine) -> None:
    champion = get_champion(engine, BOOK)
    job = _finish_job(engine, JobRequest(JobKind.FINE_TUNING, BOOK, "tidemark", {}, task=JobTask.FINE_TUNE), {})
    for version in ("m2", "m2c"):
        _register(engine, version, job, parent="m1", learned=420)
    figures = {"checks": [GAIN], "made": "fine_tuned", "job": job}
    _judge(engine, "m2", champion, job_id=job, reason="every check passed", figures=figures, promoted=True)
    figures = {"checks": [], "made": "recalibrated", "job": job}
    _judge(engine, "m2c", champion, reason="the fine tuned model\nis preferred", figures=figures)


def _watch(engine: Engine) -> None:
    options = {"version": "m2", "before": "m1"}
    request = JobRequest(JobKind.FINE_TUNING, BOOK, "monitor", options, task=JobTask.WATCH)
    _finish_job(engine, request, {"rolled_back": False, "reason": "watched", "brier": WATCHED, "outcomes": 140})


def _register(engine: Engine, version: str, job: int | None, *, learned: int, parent: str | None = None) -> None:
    with writing(engine) as connection:
        register_model(
            connection,
            version=version,
            job_id=job,
            definition=book_definition(),
            metrics={"roc_auc": 0.8},
            reference={},
            parent_version=parent,
            learned_until=LearnedUntil(),
            learned_records=learned,
        )


def _judge(engine: Engine, version: str, champion: Champion | None, **values: Any) -> None:
    against = None if champion is None else champion.version
    rest: dict[str, Any] = {"promoted": False, "figures": {}, "job_id": None, "decided_by": "gate"} | values
    with writing(engine) as connection:
        decide(connection, Decision(BOOK, version, against, **rest), champion_before=champion)


def _score(engine: Engine, version: str, night: str, verdict: Verdict) -> int:
    """A night of 20 records, 4 of them expected to be bad, and 5 that were."""
    job = start_scoring(engine, shard_rows=RECORDS, model_version=version, options={"night": night})
    claimed = claim(engine)
    complete_scored_shard(engine, claimed, result_for(engine, claimed), worker="w1")
    expected = {"bad_rate": 0.2, "auc": 0.75}
    known = {"roc_auc": 0.7 if version == "m1" else 0.72, "brier": 0.12, "bad_rate": 0.25, "expected_bad_rate": 0.21}
    with writing(engine) as connection:
        insert_report(connection, DriftReport(BOOK, job.id, version, verdict, {"expected": expected, "reasons": ["x"]}))
        save_vintage(connection, Vintage(job.id, BOOK, version, RECORDS, 5, known))
    return job.id


def _finish_job(engine: Engine, request: JobRequest, result: dict[str, Any]) -> int:
    with writing(engine) as connection:
        job_id = insert_job(connection, request)
    plan_queued_jobs(engine)
    claimed = claim_shard(engine, "training", worker="w1", lease_seconds=60)
    assert claimed is not None
    with writing(engine) as connection:
        complete_whole_job(connection, claimed, result=result)
    return job_id


def _alert(engine: Engine, night: int, why: str) -> None:
    with writing(engine) as connection:
        lock_retraining(connection, BOOK)
        change_retraining(connection, BOOK, failures=1, last_night_id=night)
        record_event(connection, "retraining.alert", who="monitor", why=why, job_id=night, portfolio=BOOK)
