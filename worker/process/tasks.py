"""The Celery tasks: each a thin edge over a plain function that runs without Celery."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from logging import getLogger
from time import sleep
from typing import TYPE_CHECKING

from celery import Celery

from db.errors import DatabaseUnreachableError
from worker.contract.messages import MONITORING_QUEUE, ONLINE_TASK, SCORING_QUEUE, TASK_OF_QUEUE, TRAINING_QUEUE
from worker.runtime.context import WorkerContext

if TYPE_CHECKING:
    from worker.scoring.model_cache import ModelSlot

UNREACHABLE_SECONDS = 1.0
logger = getLogger(__name__)


def register_tasks(app: Celery, context: Callable[[], WorkerContext]) -> "Callable[[], ModelSlot]":
    """Register one task per queue, and return a function that gives the models of a process.

    Modules that need TensorFlow are imported when a task runs, in the child.
    """
    _register_jobs(app, context)
    return _register_scoring(app, context)


def _register_jobs(app: Celery, context: Callable[[], WorkerContext]) -> None:
    """Register the tasks of the training queue and the monitoring queue."""

    @app.task(name=TASK_OF_QUEUE[TRAINING_QUEUE])
    def work_on_training(shard_id: int) -> None:
        from worker.training.next_job import train_next_job  # noqa: PLC0415

        with patient():
            train_next_job(context(), shard_id)

    @app.task(name=TASK_OF_QUEUE[MONITORING_QUEUE])
    def work_on_monitoring(shard_id: int) -> None:
        from worker.monitoring.next_job import monitor_next_job  # noqa: PLC0415

        with patient():
            monitor_next_job(context(), shard_id)


def _register_scoring(app: Celery, context: Callable[[], WorkerContext]) -> "Callable[[], ModelSlot]":
    """Register the tasks that score shards and online requests; return what gives the models of a process."""

    @cache
    def slot() -> "ModelSlot":
        from worker.scoring.model_cache import ModelSlot  # noqa: PLC0415

        return ModelSlot(context().engine, context().settings.bundles_url)

    @cache
    def answerer():  # noqa: ANN202 - naming the type would import TensorFlow
        from worker.scoring.online_scoring import OnlineAnswerer  # noqa: PLC0415

        return OnlineAnswerer.for_worker(context())

    @app.task(name=TASK_OF_QUEUE[SCORING_QUEUE])
    def work_on_scoring(shard_id: int) -> None:
        from worker.scoring.overlapped_scoring import work_on_shards  # noqa: PLC0415

        own = replace(context(), between_batches=answerer().answer_waiting)
        with patient():
            try:
                work_on_shards(own, slot(), shard_id)
            finally:
                answerer().stop_listening()

    @app.task(name=ONLINE_TASK)
    def answer_online(request_id: str) -> None:
        with patient():
            answerer().answer(request_id)

    return slot


@contextmanager
def patient() -> Generator[None]:
    """Drop a message if the database does not answer: one log line and one second each, as there may be thousands.

    The scheduler announces the shard again.
    """
    try:
        yield
    except DatabaseUnreachableError as error:
        logger.warning("The message is dropped, and its work will be announced again: %s", error)
        sleep(UNREACHABLE_SECONDS)
