"""The demo: simulates a book of customers, loads it, trains on it and scores it with real queue workers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd

from db.connections.engine import Engine
from db.events.wording import counted
from db.ledger.job_lifecycle import Job, get_job
from db.portfolios.catalog import save_portfolio
from db.portfolios.definition import PortfolioDefinition
from db.registry.champions import Decision
from db.results.exports import read_scores
from db.schema.states import JobState
from db.sources.loading import load_records
from scheduler.data_files.record_file import open_data_file
from scheduler.demo.nights import NIGHT_CUSTOMERS, Night, NightsStage, play_nights
from scheduler.demo.plots import draw_nights
from scheduler.demo.simulator import (
    TARGET,
    TRUE_OUTCOME,
    TRUE_PROBABILITY,
    area_under_curve,
    best_possible_auc,
    simulate_customers,
    simulated_portfolio,
)
from scheduler.errors import SchedulerError
from scheduler.installation.job_waiting import running_parts, wait_for_job
from scheduler.portfolio_files.reader import parse_portfolio
from scheduler.requests.job_submission import Request, submit_scoring, submit_training
from scheduler.settings import SchedulerSettings
from worker.contract.messages import QUEUES

UNLABELLED_SHARE = 0.2  # customers whose outcome is not known yet: the model is judged on them
EPOCHS = 7  # more do not come nearer to the best possible, and the whole story stays within three minutes on two cores
KEY = "customer_id"
SHOWN_CUSTOMERS = 10


@dataclass(frozen=True)
class DemoResult:
    """The results of the demo. `frame` has the truth and the score of every customer."""

    training: Job
    scoring: Job
    frame: pd.DataFrame
    auc: float
    best_auc: float
    seconds: float
    nights: tuple[Night, ...] = ()
    plots: tuple[Path, ...] = ()
    trees_auc: float | None = None  # of trees on usual aggregates of events, where there are events

    @property
    def records_per_second(self) -> float:
        """Records scored per second, from the first claim of a shard to the end of the job."""
        return self.scoring.scored / (self.scoring.seconds or float("nan"))


@dataclass(frozen=True)
class Stage:
    """The stage of the demo and its listeners: `say` gets sentences, `on_look` the running job."""

    engine: Engine
    settings: SchedulerSettings
    say: Callable[[str], None]
    on_look: Callable[[Job], None]


def play_demo(stage: Stage, *, customers: int, seed: int, nights: int = 0) -> DemoResult:
    """Simulate, load, train, score, then play nights; return the results.

    Raises `SchedulerError` if a job does not succeed.
    """
    begun, say, engine = perf_counter(), stage.say, stage.engine
    say(f"Simulating {counted(customers, 'customer')} with 12 months of behaviour (seed {seed}) ...")
    truth = simulate_customers(customers, seed, unlabelled_share=UNLABELLED_SHARE)
    portfolio = _load(stage, truth)
    with running_parts(stage.settings, QUEUES, say) as supervisor:
        say("Training a Transformer on the four fifths with a known outcome ...")
        training, scoring = train_and_score(stage, portfolio, {"seed": seed, "epochs": EPOCHS})
        played = _play_nights(stage, truth, supervisor.tend, seed=seed, nights=nights)
    frame = join_scores(engine, truth, scoring.id)
    plots = draw_nights(played, stage.settings.state_folder / "demo") if played else []
    auc, best = judge(frame)
    seconds = perf_counter() - begun
    return DemoResult(training, scoring, frame, auc, best, seconds, tuple(played), tuple(plots))


def judge(frame: pd.DataFrame, column: str = "probability") -> tuple[float, float]:
    """Return the ROC AUC on customers whose outcome the model never saw, and the best possible one."""
    unseen = frame[frame[TARGET].isna()]
    auc = area_under_curve(unseen[TRUE_OUTCOME].to_numpy(np.float64), unseen[column].to_numpy(np.float64))
    return auc, best_possible_auc(unseen)


def train_and_score(stage: Stage, portfolio: str, options: dict[str, Any]) -> tuple[Job, Job]:
    """Train, then score the whole book; return both jobs. Raises `SchedulerError` if one of them does not succeed."""
    training = _finish(stage, submit_training(stage.engine, portfolio, Request("demo"), options=options))
    stage.say("Scoring the whole book through the queue workers ...")
    return training, _finish(stage, submit_scoring(stage.engine, portfolio, Request("demo")))


def sample_customers(frame: pd.DataFrame, count: int = SHOWN_CUSTOMERS) -> pd.DataFrame:
    """Return customers spread evenly from the highest risk to the lowest."""
    ordered = frame.sort_values("probability", ascending=False)
    return ordered.iloc[np.linspace(0, len(ordered) - 1, count).astype(int)]


def points_histogram(frame: pd.DataFrame, *, bins: int = 14) -> list[tuple[str, int]]:
    """Return score ranges in points with their number of customers, for drawing."""
    counts, edges = np.histogram(frame["points"], bins=bins)
    labels = [f"{low:4.0f} to {high:4.0f}" for low, high in pairwise(edges)]
    return list(zip(labels, counts.tolist(), strict=True))


def describe(result: DemoResult) -> dict[str, Any]:
    """Return the figures of a demo by name."""
    trees = {} if result.trees_auc is None else {"roc_auc_of_trees_on_usual_aggregates": round(result.trees_auc, 4)}
    return {
        "customers": result.scoring.inputs,
        "scored": result.scoring.scored,
        "rejected": result.scoring.rejected,
        "training_seconds": round(result.training.seconds or 0.0, 1),
        "scoring_seconds": round(result.scoring.seconds or 0.0, 2),
        "records_per_second": round(result.records_per_second),
        **trees,
        "roc_auc": round(result.auc, 4),
        "best_possible_roc_auc": round(result.best_auc, 4),
        "seconds": round(result.seconds, 1),
        "job": result.scoring.id,
        "model_version": result.scoring.model_version,
        "nights": [describe_night(night) for night in result.nights],
        "promotions": promotions(result.nights),
        "plots": [str(path) for path in result.plots],
    }


def describe_night(night: Night) -> dict[str, Any]:
    """Return one night by name; `followed_by` are sentences."""
    return {
        "night": night.number,
        "day": night.day.isoformat(),
        "happens": night.happens,
        "job": night.job,
        "model_version": night.model,
        "verdict": night.verdict,
        "psi": night.psi,
        "roc_auc": round(night.auc, 4),
        "followed_by": [*night.answers, *(decided(one) for one in night.decisions if one.action == "rollback")],
    }


def promotions(nights: Sequence[Night]) -> list[dict[str, Any]]:
    """Return the gain of each promotion by the gate, on later outcomes that neither model was trained on."""
    documents: list[dict[str, Any]] = []
    for night in nights:
        for one in night.decisions:
            checks = {check["name"]: check["figures"] for check in one.figures.get("checks", [])}
            if one.promoted and "roc_auc" in checks:
                auc, brier = checks["roc_auc"], checks["gain"]["Brier score"]
                sides = {"before": "champion", "after": "challenger"}
                documents.append(
                    {
                        "night": night.number,
                        "version": one.version,
                        "roc_auc": {when: round(auc[side], 4) for when, side in sides.items()},
                        "brier": {when: round(brier[side], 4) for when, side in sides.items()},
                    }
                )
    return documents


def decided(decision: Decision) -> str:
    """Return a decision in a sentence."""
    return f"{decision.action}: {decision.version} in place of {decision.against_version}: {decision.reason}"


def _load(stage: Stage, truth: pd.DataFrame) -> str:
    return load_book(stage, parse_portfolio(simulated_portfolio(), "the demo's portfolio"), truth).name


def load_book(stage: Stage, definition: PortfolioDefinition, truth: pd.DataFrame) -> PortfolioDefinition:
    """Save the portfolio, write its customers into a file, and load that."""
    save_portfolio(stage.engine, definition, who="demo")
    folder: Path = stage.settings.state_folder / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "customers.parquet"
    truth.drop(columns=[TRUE_PROBABILITY, TRUE_OUTCOME]).to_parquet(path, index=False)
    file = open_data_file(path, definition)
    frames = (batch.frame for batch in file.batches())
    outcome = load_records(stage.engine, definition, frames, key_type=file.key_type, replace_all=True, who="demo")
    stage.say(f"Loaded {counted(outcome.total, 'record')} into the table {definition.source}.")
    return definition


def _play_nights(stage: Stage, truth: pd.DataFrame, tend: Callable[[], None], *, seed: int, nights: int) -> list[Night]:
    if nights == 0:
        return []
    stage.say(f"Playing {counted(nights, 'night')} of {NIGHT_CUSTOMERS:,} customers each, in compressed time ...")
    definition = parse_portfolio(simulated_portfolio(), "the demo's portfolio")
    played: list[Night] = []
    for night in play_nights(NightsStage(stage.engine, definition, stage.say, tend, seed), truth, nights):
        stage.say(f"Night {night.number}: {night.happens}: {night.verdict}.")
        played.append(night)
    return played


def _finish(stage: Stage, job_id: int) -> Job:
    wait_for_job(stage.engine, stage.settings, job_id, on_look=stage.on_look, on_event=stage.say)
    job = get_job(stage.engine, job_id)
    if job.state is not JobState.DONE:
        raise SchedulerError(f"job {job_id} {job.state}: {job.detail}. See: tidemark job show {job_id}")
    return job


def join_scores(engine: Engine, truth: pd.DataFrame, job_id: int) -> pd.DataFrame:
    """Return the customers with their scores."""
    scores = pd.concat(read_scores(engine, job_id), ignore_index=True)
    scores[KEY] = scores["record_key"].astype(truth[KEY].dtype)
    return truth.merge(scores, on=KEY, validate="one_to_one")
