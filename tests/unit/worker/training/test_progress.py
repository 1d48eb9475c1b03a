"""The bar of a training: one from the beginning to the end, whatever is fitted how often."""

import math

from transformer.fitting.options import EpochReport
from worker.training.progress import FINE_TUNING, ProgressBoard, training_plan


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def epoch(number: int, of: int, stage: str = "training", auc: float = 0.7) -> EpochReport:
    return EpochReport(number, of, 0.5, 0.5, auc, 1.0, stage=stage)


def test_the_bar_never_goes_back_though_one_fit_follows_another() -> None:
    board = ProgressBoard(training_plan(0))
    values = [board.enter("fitting")]
    for stage in ("pretraining", "training", "training", "refitting", "training (finer edges)", "refitting"):
        values += [board.after_epoch(epoch(number, 5, stage)) for number in range(1, 6)]
        values.append(board.tick())
    values += [board.enter(stage) for stage in ("reasons", "saving", "gate")]
    done = [one["done"] for one in values]
    assert done == sorted(done)
    assert done[0] < 0.1
    assert 0.9 < done[-1] < 1.0


def test_time_alone_moves_the_bar_but_never_to_the_end_of_its_stage() -> None:
    board = ProgressBoard(training_plan(0))
    before = board.enter("fitting")["done"]
    moved = [board.tick()["done"] for _ in range(1000)]
    assert before < moved[0] < moved[-1] <= board.enter("reasons")["done"]


def test_the_time_left_is_told_once_there_is_something_to_go_by() -> None:
    clock = Clock()
    board = ProgressBoard(training_plan(0), clock=clock)
    assert board.tick()["seconds_left"] is None
    clock.now = 60.0
    result = board.enter("reasons")
    assert result["seconds"] == 60
    assert result["seconds_left"] == round(60 * (1 - result["done"]) / result["done"])


def test_an_epoch_is_told_with_the_figures_that_there_are() -> None:
    board = ProgressBoard(training_plan(0))
    board.enter("fitting")
    result = board.after_epoch(epoch(2, 9))
    assert (result["stage"], result["epoch"], result["epochs"], result["valid_auc"]) == ("training", 2, 9, 0.7)
    assert "valid_auc" not in board.after_epoch(epoch(3, 9, "pretraining", math.nan))


def test_folds_and_fine_tuning_have_plans_of_their_own() -> None:
    board = ProgressBoard(training_plan(5))
    assert board.enter("folds", fold=2, folds=5)["fold"] == 2
    assert board.enter("reasons")["done"] > 0.9, "five more fits are most of the time"
    assert ProgressBoard(FINE_TUNING).enter("gate")["done"] == 0.85
