"""Thirty nights of the demo's book in compressed time: each is a real scoring job, and the loop acts automatically.

The script fixes only what happens in the world: how people live, which feed breaks, which file of
outcomes is wrong. What Tidemark makes of it is read from its own tables.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from time import monotonic
from typing import Any

import numpy as np
import pandas as pd

from db.connections.engine import Engine
from db.ledger.job_lifecycle import Job, find_follow_up, get_job, list_jobs
from db.monitoring.drift_reports import find_report
from db.portfolios.catalog import save_portfolio
from db.portfolios.definition import PortfolioDefinition
from db.portfolios.retraining_policy import GatePolicy, RetrainingPolicy
from db.registry.champions import Decision, list_decisions
from db.registry.versions import list_models
from db.results.exports import read_scores
from db.retraining.outcomes import load_outcomes
from db.retraining.promotion import promote_version
from db.schema.states import JobKind, ModelState
from db.sources.loading import load_records
from scheduler.demo.simulator import TRUE_OUTCOME, Economy, area_under_curve, simulate_customers
from scheduler.errors import SchedulerError
from scheduler.installation.job_waiting import Patience
from scheduler.requests.job_submission import Request, submit_scoring

NIGHT_CUSTOMERS = 4_000
FIRST_NIGHT = date(2026, 3, 1)
SOURCE, HISTORY = "simulated_nights", "simulated_history"
OLD_RECORDS = 10_000  # of the first book, kept for replay
KEYS_PER_NIGHT = 1_000_000
WAIT_SECONDS = 600.0  # of one night with all that follows from it, on a machine that is busy

USUAL = Economy()
HARDER = Economy(stress=2.0, odds_shift=0.15, younger_years=12)
HARDEST = Economy(stress=3.5, odds_shift=0.3, younger_years=16)
BROKEN = ("days_past_due_12", "days_past_due_11", "income")

# The bounds are the portfolio's own, set before the first night. Points may move further than by default (0.1): this
# world moves a great deal within a month.
POLICY = RetrainingPolicy(
    records=HISTORY,
    least_bad_outcomes=1_000,
    cool_down_nights=7,
    probation_nights=5,
    gate=GatePolicy(largest_points_psi=0.25),
)


@dataclass(frozen=True)
class World:
    """What happens in one night, and what arrives before it is scored.

    `outcomes_of` are earlier nights whose outcomes arrive now, `swapped` those of them whose file has good and bad
    swapped, and `by_hand` makes the very first model the champion again.
    """

    happens: str
    economy: Economy = USUAL
    broken: bool = False
    outcomes_of: tuple[int, ...] = ()
    swapped: tuple[int, ...] = ()
    by_hand: bool = False


@dataclass(frozen=True)
class Night:
    """One night according to the tables. `auc` uses the true outcomes, which only the simulator knows."""

    number: int
    day: date
    happens: str
    job: int
    model: str
    verdict: str
    psi: float | None
    auc: float
    answers: tuple[str, ...]
    decisions: tuple[Decision, ...] = ()


@dataclass
class NightsStage:
    """The stage of the nights. `tend` keeps the parts of this machine running while the demo waits."""

    engine: Engine
    definition: PortfolioDefinition
    say: Callable[[str], None]
    tend: Callable[[], None]
    seed: int
    books: dict[int, tuple[pd.DataFrame, int]] = field(default_factory=dict[int, tuple[pd.DataFrame, int]])


def plan_world(nights: int) -> list[World]:
    """Return the script of the first `nights` of thirty nights."""
    return [_world_of(number) for number in range(1, nights + 1)]


def _world_of(number: int) -> World:
    if number <= 6:
        return World("as usual")
    if number <= 17:
        special = {
            7: World("harder times, younger customers", HARDER),
            11: World("outcomes of nights 7 to 9 arrive", HARDER, outcomes_of=(7, 8, 9)),
            15: World("a feed breaks: columns arrive empty", HARDER, broken=True),
            17: World("outcomes of nights 10 to 12 arrive", HARDER, outcomes_of=(10, 11, 12)),
        }
        return special.get(number, World("harder times", HARDER))
    special = {
        18: World("harder still", HARDEST),
        22: World("outcomes of 18 to 20, two files wrong", HARDEST, outcomes_of=(18, 19, 20), swapped=(18, 19)),
        23: World("someone promotes the first model again", HARDEST, by_hand=True),
        26: World("outcomes of nights 23 and 24 arrive", HARDEST, outcomes_of=(23, 24)),
        27: World("the two files arrive corrected", HARDEST, outcomes_of=(18, 19)),
    }
    return special.get(number, World("hardest times", HARDEST))


def play_nights(stage: NightsStage, first_book: pd.DataFrame, nights: int) -> Iterator[Night]:
    """Play the nights in order; yield each when everything that it triggered is done."""
    definition = replace(stage.definition, source=SOURCE, retraining=POLICY)
    save_portfolio(stage.engine, definition, who="demo")
    stage.definition = definition
    _keep_history(stage, first_book.head(OLD_RECORDS))
    for number, world in enumerate(plan_world(nights), start=1):
        known = {one.id for one in list_decisions(stage.engine, definition.name)}
        before = _newest_job(stage)
        yield _play_night(stage, number, world, known, before)


def _play_night(stage: NightsStage, number: int, world: World, known: set[int | None], before: int) -> Night:
    if world.by_hand:
        _promote_first(stage)
    for earlier in world.outcomes_of:
        _load_outcomes(stage, earlier, number, is_swapped=earlier in world.swapped)
    _settle(stage)
    book = _make_book(stage, number, world)
    job_id = submit_scoring(stage.engine, stage.definition.name, Request("demo"))
    job = _settle(stage, job_id)
    stage.books[number] = (book, job_id)
    report = find_report(stage.engine, job_id)
    decided = [one for one in list_decisions(stage.engine, stage.definition.name) if one.id not in known]
    return Night(
        number=number,
        day=FIRST_NIGHT + timedelta(days=number - 1),
        happens=world.happens,
        job=job_id,
        model=job.model_version or "",
        verdict="none" if report is None else str(report.verdict),
        psi=None if report is None else report.figures.get("psi"),
        auc=_true_auc(stage.engine, book, job_id),
        answers=tuple(_answers(stage, before)),
        decisions=tuple(reversed(decided)),
    )


def _make_book(stage: NightsStage, number: int, world: World) -> pd.DataFrame:
    broken = BROKEN if world.broken else ()
    seed = stage.seed * 1000 + number
    book = simulate_customers(NIGHT_CUSTOMERS, seed, economy=world.economy, broken_columns=broken)
    book["customer_id"] += number * KEYS_PER_NIGHT
    _load(stage, book.assign(default_next_month=np.nan), SOURCE, replace_all=True)
    return book


def _load_outcomes(stage: NightsStage, earlier: int, today: int, *, is_swapped: bool) -> None:
    """Store the records as they were when scored in the history, and their outcomes."""
    book, job_id = stage.books[earlier]
    _keep_history(stage, book.assign(default_next_month=np.nan))
    day = (FIRST_NIGHT + timedelta(days=earlier - 1 + 2)).isoformat()
    outcomes = book[TRUE_OUTCOME].astype(int)
    if is_swapped:
        outcomes = 1 - outcomes
    rows = [(str(key), int(value), day) for key, value in zip(book["customer_id"], outcomes, strict=True)]
    loaded = load_outcomes(stage.engine, stage.definition.name, rows, who=f"night {today}", scoring_job=job_id)
    stage.say(f"Night {today}: outcomes of night {earlier}: {loaded.loaded:,} new, {loaded.changed:,} corrected.")


def _keep_history(stage: NightsStage, book: pd.DataFrame) -> None:
    _load(stage, book, HISTORY, replace_all=False)


def _load(stage: NightsStage, book: pd.DataFrame, source: str, *, replace_all: bool) -> None:
    target = stage.definition.target
    assert target is not None, "the simulated portfolio names its target"
    columns = [stage.definition.key, target, *stage.definition.input_columns]
    frame = book[columns].assign(tidemark_unreadable=pd.Series([None] * len(book), dtype="object", index=book.index))
    frame[stage.definition.key] = frame[stage.definition.key].astype("object")
    definition = replace(stage.definition, source=source)
    load_records(stage.engine, definition, [frame], key_type="integer", replace_all=replace_all, who="demo")


def _promote_first(stage: NightsStage) -> None:
    """What no one should do: go back to a model of other times. It is watched as closely as the loop's own."""
    first = list_models(stage.engine, stage.definition.name)[-1]
    if first.state is not ModelState.CHAMPION:
        promote_version(stage.engine, first.version, who="demo", why="someone liked the old scores better")


def _settle(stage: NightsStage, job_id: int | None = None) -> Job:
    """Wait until no job of the portfolio is open, and the scoring job has its report; return the newest job."""
    ends, patience = monotonic() + WAIT_SECONDS, Patience(None)
    while True:
        newest = list_jobs(stage.engine, portfolio=stage.definition.name, limit=20)
        is_monitored = job_id is None or find_follow_up(stage.engine, job_id) is not None
        failed = next((job for job in newest if job.id == job_id and not job.is_open and job.result is None), None)
        if not any(job.is_open for job in newest) and (is_monitored or failed is not None):
            return newest[0] if job_id is None else get_job(stage.engine, job_id)
        if monotonic() > ends:
            raise SchedulerError(f"a night did not finish within {WAIT_SECONDS:g} s. See: tidemark job list")
        stage.tend()
        patience.pause()


def _newest_job(stage: NightsStage) -> int:
    newest = list_jobs(stage.engine, portfolio=stage.definition.name, limit=1)
    return newest[0].id if newest else 0


def _answers(stage: NightsStage, before: int) -> Iterator[str]:
    """What the loop did automatically since the job `before`, in words."""
    for job in reversed(list_jobs(stage.engine, portfolio=stage.definition.name, kind=JobKind.FINE_TUNING, limit=20)):
        if job.id > before:
            result: dict[str, Any] = job.result or {}
            yield f"{job.options.get('task', 'fine_tune')}: {result.get('reason') or job.detail or job.state}"


def _true_auc(engine: Engine, book: pd.DataFrame, job_id: int) -> float:
    scores = pd.concat(read_scores(engine, job_id), ignore_index=True)
    scores["customer_id"] = scores["record_key"].astype(book["customer_id"].dtype)
    joined = book.merge(scores, on="customer_id", validate="one_to_one")
    return area_under_curve(joined[TRUE_OUTCOME].to_numpy(np.float64), joined["probability"].to_numpy(np.float64))
