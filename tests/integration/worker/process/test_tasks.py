"""The edge between Celery and the work: what a message costs while the database is away."""

import logging

import pytest
from celery import Celery

from db.connections.engine import opened_engine
from tests.servers.processes import free_port
from worker.contract.messages import TASK_OF_QUEUE
from worker.process import tasks
from worker.runtime.context import WorkerContext
from worker.runtime.settings import WorkerSettings


def test_a_message_costs_a_line_and_a_pause_while_the_database_is_away(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of them may wait: none of them is an error of its own, and none is taken at once after the other."""
    pauses: list[float] = []
    monkeypatch.setattr(tasks, "sleep", pauses.append)
    app = Celery("test", set_as_current=False)
    with opened_engine(f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/absent") as engine:
        tasks.register_tasks(app, lambda: WorkerContext(engine, WorkerSettings(), "w1"))
        with caplog.at_level(logging.WARNING):
            for task in TASK_OF_QUEUE.values():
                app.tasks[task].run(17)
    assert pauses == [tasks.UNREACHABLE_SECONDS] * len(TASK_OF_QUEUE)
    lines = [one for one in caplog.records if one.name == "worker.process.tasks"]
    assert len(lines) == len(TASK_OF_QUEUE)
    for line in lines:
        assert line.getMessage().startswith("The message is dropped, and its work will be announced again: cannot use")
        assert line.exc_info is None
