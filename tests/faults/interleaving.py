"""Runs one transaction at a chosen moment of another: between two of its statements, before its commit, or after it."""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Engine, event

from db.errors import DatabaseError

# Long enough for a transaction that is not held up; one that is held up goes on when the other has ended.
BLOCKED_AFTER_SECONDS = 0.15
Act = Callable[[], Any]


def interleave(engine: Engine, first: Act, second: Act, *, moment: int) -> bool:
    """Run `first` on `engine`, and `second` when `first` has come to its statement number `moment`.

    False where `first` has fewer statements and commits together: then `second` ran after it. What either refuses, as
    errors of `db`, is for the caller to see in what is stored.
    """
    other = threading.Thread(target=lambda: _run(second))
    with _at_moment(engine, moment, lambda: _start_and_wait(other)) as has_come:
        _run(first)
    if not has_come:
        other.start()
    other.join(60)
    assert not other.is_alive(), "both wait for each other"
    return bool(has_come)


@contextmanager
def _at_moment(engine: Engine, moment: int, act: Act) -> Generator[list[bool]]:
    """Call `act` before the statement, or the commit, of this number on this engine; give whether it has been."""
    steps = 0
    has_come: list[bool] = []

    def step(*_details: Any) -> None:
        nonlocal steps
        if steps == moment and not has_come:
            has_come.append(True)
            act()
        steps += 1

    listened = (("before_cursor_execute", step), ("commit", step))
    for name, listener in listened:
        event.listen(engine, name, listener)
    try:
        yield has_come
    finally:
        for name, listener in listened:
            event.remove(engine, name, listener)


def _start_and_wait(other: threading.Thread) -> None:
    other.start()
    other.join(BLOCKED_AFTER_SECONDS)


def _run(act: Act) -> None:
    # A refusal is an answer. A server that breaks off two transactions that wait for each other raises another error.
    with suppress(DatabaseError):
        act()
