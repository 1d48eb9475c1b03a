"""The Celery tasks: each a thin edge over a plain function that runs without Celery."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from celery import Celery

from worker.contract.messages import MONITORING_QUEUE, ONLINE_TASK, SCORING_QUEUE, TASK_OF_QUEUE, TRAINING_QUEUE
from worker.runtime.context import WorkerContext

if TYPE_CHECKING:
    from worker.scoring.model_cache import ModelSlot


def register_tasks(app: Celery, context: Callable[[], WorkerContext]) -> "Callable[[], ModelSlot]":
    """Register one task per queue, and return what gives the models that a process holds.

    What needs TensorFlow is imported when a task runs, in the child.
    """

    @cache
    def slot() -> "ModelSlot":
        from worker.scoring.model_cache import ModelSlot  # noqa: PLC0415

        return ModelSlot(context().engine, context().settings.bundles_url)

    @app.task(name=TASK_OF_QUEUE[SCORING_QUEUE])
    def work_on_scoring(shard_id: int) -> None:
        from worker.scoring.overlapped_scoring import work_on_shards  # noqa: PLC0415

        own = replace(context(), between_batches=answerer().answer_waiting)
        try:
            work_on_shards(own, slot(), shard_id)
        finally:
            answerer().stop_listening()

    @app.task(name=TASK_OF_QUEUE[TRAINING_QUEUE])
    def work_on_training(shard_id: int) -> None:
        from worker.training.next_job import train_next_job  # noqa: PLC0415

        train_next_job(context(), shard_id)

    @app.task(name=TASK_OF_QUEUE[MONITORING_QUEUE])
    def work_on_monitoring(shard_id: int) -> None:
        from worker.monitoring.next_job import monitor_next_job  # noqa: PLC0415

        monitor_next_job(context(), shard_id)

    @cache
    def answerer():  # noqa: ANN202 - naming the type would import TensorFlow
        from worker.scoring.online_scoring import OnlineAnswerer  # noqa: PLC0415

        return OnlineAnswerer.for_worker(context())

    @app.task(name=ONLINE_TASK)
    def answer_online(request_id: str) -> None:
        answerer().answer(request_id)

    return slot
