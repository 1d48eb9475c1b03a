"""Tasks side by side: who is told, and what ends them."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from transformer.fitting.options import EpochReport, Hooks
from transformer.fitting.side_by_side import StoppedError, run_side_by_side


class CancelledError(Exception):
    """What a hook raises where a job was cancelled."""


def report(number: int) -> EpochReport:
    return EpochReport(number, 3, 0.5, 0.5, 0.7, 0.1)


def task(number: int) -> Callable[[Hooks], int]:
    def run(hooks: Hooks) -> int:
        hooks.on_epoch(report(number))
        hooks.on_batch()
        return number

    return run


def test_what_tasks_return_comes_in_their_order_and_one_thread_is_told() -> None:
    told: list[tuple[int, threading.Thread]] = []
    hooks = Hooks(lambda one: told.append((one.epoch, threading.current_thread())), lambda: None)
    assert run_side_by_side([task(number) for number in range(5)], hooks) == [0, 1, 2, 3, 4]
    assert sorted(number for number, _ in told) == [0, 1, 2, 3, 4]
    assert {thread for _, thread in told} == {threading.current_thread()}


def endless(hooks: Hooks) -> None:
    while True:
        hooks.on_batch()


def test_one_tasks_error_ends_the_others_and_is_raised() -> None:
    def fail(_hooks: Hooks) -> None:
        raise ValueError("the third column")

    waiting: list[Any] = [endless, fail, endless]
    with pytest.raises(ValueError, match="the third column"):
        run_side_by_side(waiting, Hooks(lambda _one: None, lambda: None))


def test_a_cancelled_job_ends_all_tasks() -> None:
    ended: list[str] = []

    def run(hooks: Hooks) -> None:
        try:
            endless(hooks)
        except StoppedError:
            ended.append("stopped")
            raise

    def cancel() -> None:
        raise CancelledError

    with pytest.raises(CancelledError):
        run_side_by_side([run, run], Hooks(lambda _one: None, cancel))
    assert ended == ["stopped", "stopped"]
