"""Waits for a fact with a deadline: a test never sleeps for a while and hopes."""

import os
import threading
import time
from collections.abc import Callable
from typing import TypeVar

Fact = TypeVar("Fact")

_FIRST_PAUSE_SECONDS = 0.005
_LONGEST_PAUSE_SECONDS = 0.1


def wait_for(fact: Callable[[], Fact], seconds: float, what: str) -> Fact:
    """Return the first true value of `fact`; raise `AssertionError` naming `what` when there is none in time."""
    ends = time.monotonic() + seconds
    pause = _FIRST_PAUSE_SECONDS
    while not (value := fact()):
        if time.monotonic() > ends:
            raise AssertionError(f"waited {seconds:g} s in vain for this: {what} (last value: {value!r})")
        threading.Event().wait(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
    return value


def promised(alone: Fact, *, busy: Fact) -> Fact:
    """Return what is promised where one test runs after the other (`run.py hostile`), else what a busy machine needs.

    With two tests at a time a limit of time would measure the other test.
    """
    return busy if "PYTEST_XDIST_WORKER" in os.environ else alone
