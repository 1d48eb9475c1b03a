"""A replay plays by the rules of the loop: nothing is known before its time, and nothing is promoted without a gate."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from db.portfolios.retraining_policy import GatePolicy, RetrainingPolicy
from transformer.records.record_store import FrameStore
from transformer.records.schema import Field, RecordSchema
from transformer.training.model_training import TrainingOptions
from worker.replay.loop_player import Loop
from worker.replay.models import Model, Workshop
from worker.replay.past import FIRST, Past
from worker.replay.players import Never, Refit
from worker.replay.playing import compare_played, play

pytestmark = [pytest.mark.timeout(900), pytest.mark.long]  # they train several times

FIRST_ROWS, NIGHT_ROWS, NIGHTS = 500, 400, 4
POLICY = RetrainingPolicy(gate=GatePolicy(least_bad=20, least_speed=0))


@pytest.fixture(scope="module")
def workshop() -> Workshop:
    """A book whose world turns round after the records of the first model: every refit is far better."""
    random = np.random.default_rng(3)
    rows = FIRST_ROWS + NIGHTS * NIGHT_ROWS
    night = np.maximum((np.arange(rows) - FIRST_ROWS) // NIGHT_ROWS, FIRST)
    numbers = random.standard_normal((rows, 3))
    sign = np.where(night == FIRST, -1.0, 1.0)
    target = (random.random(rows) < 1 / (1 + np.exp(1.0 - 2 * sign * numbers[:, 0]))).astype(np.float64)
    frame = pd.DataFrame(numbers, columns=["a", "b", "c"])
    keys = np.array([str(one) for one in range(rows)], dtype=object)
    dates = tuple(date(2026, 1, 31) + timedelta(days=30 * one) for one in range(NIGHTS))
    schema = RecordSchema(tuple(Field(name, "numeric") for name in frame.columns), ())
    past = Past(FrameStore(frame), target, keys, night, night + 1, dates, schema)
    return Workshop(past, POLICY, training=TrainingOptions(quick=True, trees=False))


@pytest.fixture(scope="module")
def first(workshop: Workshop) -> Model:
    return workshop.train(workshop.past.rows_of(FIRST), learned_night=FIRST)


def test_the_loop_promotes_what_its_gate_passes_and_is_far_better_than_never(workshop: Workshop, first: Model) -> None:
    never = play(Never(first), workshop)
    player = Loop(first, replace(workshop, trainings=0))
    looped = play(player, player.workshop)
    assert never.trainings == 0
    assert looped.trainings > 0
    promoted = [one["night"] for one in player.told if one["outcome"] == "promote"]
    assert promoted
    assert min(promoted) > 0, "before the first night no outcome of a night is known"
    moved = compare_played(looped, never)["roc_auc"]
    assert moved["difference"] > 0.1
    assert looped.roc_auc[0] == never.roc_auc[0]


def test_a_refit_learns_nothing_that_is_not_known_yet(workshop: Workshop, first: Model) -> None:
    player = Refit(first, replace(workshop, trainings=0), at_alarms=False)
    player.before(0)
    assert player.champion is first
    player.before(2)
    assert player.champion.learned_night == 1
    assert player.champion.learned_records == FIRST_ROWS + 2 * NIGHT_ROWS


def test_refits_keep_the_days_between_them(workshop: Workshop, first: Model) -> None:
    player = Refit(first, replace(workshop, trainings=0), at_alarms=False, least_days=45)
    player.before(1)
    learned = player.champion
    player.before(2)
    assert player.champion is learned, "the nights are 30 days apart"
