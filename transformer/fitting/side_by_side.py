"""Runs tasks on threads of their own, while this one tells everybody that they are alive and how far they are."""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from queue import Empty, SimpleQueue
from threading import Event
from typing import Any

from transformer.fitting.options import EpochReport, Hooks

THREADS = 2
_LOOK_SECONDS = 0.2


class StoppedError(Exception):
    """Another task failed, or whoever waits for all of them gave up."""


def run_side_by_side(tasks: Sequence[Callable[[Hooks], Any]], hooks: Hooks, *, threads: int = THREADS) -> list[Any]:
    """Return what the tasks return, in their order; the first error ends them all.

    The tasks report to hooks that they are given. `hooks` are called by this thread alone, also while nothing is
    reported: they may raise, which stops the tasks at their next batch.
    """
    is_over, reports = Event(), SimpleQueue[EpochReport]()

    def go_on() -> None:
        if is_over.is_set():
            raise StoppedError

    relay = Hooks(on_epoch=reports.put, on_batch=go_on)
    with ThreadPoolExecutor(threads) as pool:
        running = [pool.submit(task, relay) for task in tasks]
        try:
            is_done = False
            while not is_done:
                done, waiting = wait(running, _LOOK_SECONDS, return_when=FIRST_EXCEPTION)
                is_done = not waiting or any(one.exception() is not None for one in done)
                hooks.on_batch()
                _pass_on(reports, hooks)
        finally:
            is_over.set()
            for one in running:
                one.cancel()
    failures = [one.exception() for one in running if not one.cancelled() and one.exception() is not None]
    for failure in sorted(failures, key=lambda one: isinstance(one, StoppedError)):
        assert failure is not None
        raise failure
    return [one.result() for one in running]


def _pass_on(reports: "SimpleQueue[EpochReport]", hooks: Hooks) -> None:
    while True:
        try:
            hooks.on_epoch(reports.get_nowait())
        except Empty:
            return
