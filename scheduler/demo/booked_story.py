"""The demo with bookings: a book in which the order and the times of events tell who will default."""

from dataclasses import replace
from time import perf_counter

import numpy as np
import pandas as pd

from db.events.wording import counted
from db.portfolios.definition import PortfolioDefinition
from db.sources.event_loading import EventLoad, EventLoadMode, load_events
from scheduler.demo.bookings import PORTFOLIO, simulate_booked_customers, usual_aggregates
from scheduler.demo.simulator import TARGET
from scheduler.demo.story import (
    UNLABELLED_SHARE,
    DemoResult,
    Stage,
    join_scores,
    judge,
    load_book,
    train_and_score,
)
from scheduler.installation.job_waiting import running_parts
from scheduler.portfolio_files.reader import parse_portfolio
from worker.contract.messages import QUEUES

LOADED_ROWS = 200_000  # at a time


def play_booked_demo(stage: Stage, *, customers: int, seed: int) -> DemoResult:
    """Simulate, load, train and score; return the results, with trees on usual aggregates of the same bookings.

    Raises `SchedulerError` if a job does not succeed.
    """
    begun = perf_counter()
    stage.say(f"Simulating {counted(customers, 'customer')} with bookings of 180 days (seed {seed}) ...")
    truth, log = simulate_booked_customers(customers, seed, unlabelled_share=UNLABELLED_SHARE)
    definition = load_book(stage, parse_portfolio(PORTFOLIO, "the demo's portfolio"), truth)
    _load_bookings(stage, definition, log)
    stage.say("Growing trees on the usual aggregates of bookings, to compare with ...")
    trees_auc, _ = judge(truth.assign(probability=_grow_trees(truth, log, seed)))
    with running_parts(stage.settings, QUEUES, stage.say):
        stage.say("Training on the four fifths with a known outcome ...")
        training, scoring = train_and_score(stage, definition.name, {"seed": seed})
    frame = join_scores(stage.engine, truth, scoring.id)
    auc, best = judge(frame)
    result = DemoResult(training, scoring, frame, auc, best, perf_counter() - begun)
    return replace(result, trees_auc=trees_auc)


def _load_bookings(stage: Stage, definition: PortfolioDefinition, log: pd.DataFrame) -> None:
    load = EventLoad(definition, definition.require_events("bookings"), "integer", EventLoadMode.REPLACE, who="demo")
    timed = log.assign(booked_at=log["booked_at"].astype("datetime64[us]").astype(np.int64))
    parts = (timed[row : row + LOADED_ROWS] for row in range(0, len(timed), LOADED_ROWS))
    outcome = load_events(stage.engine, load, parts)
    stage.say(f"Loaded {counted(outcome.total, 'event')} into the table {load.events.source}.")


def _grow_trees(truth: pd.DataFrame, log: pd.DataFrame, seed: int) -> "pd.Series[float]":
    """The probabilities of gradient boosting with scikit-learn's defaults, learned from the known outcomes."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415 - slow to import
    from threadpoolctl import threadpool_limits  # noqa: PLC0415 - of the same extra

    facts = truth[["age", "income", "employment"]].astype({"employment": "category"})
    columns = pd.concat([facts, usual_aggregates(truth, log)], axis=1)
    is_known = truth[TARGET].notna()
    trees = HistGradientBoostingClassifier(random_state=seed, learning_rate=0.05)
    with threadpool_limits(1):  # on a busy machine its threads wait for each other: ten times as long
        trees.fit(columns[is_known], truth[TARGET][is_known])
    return pd.Series(trees.predict_proba(columns)[:, 1], index=truth.index)
