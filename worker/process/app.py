"""The Celery application of a worker: the composition root where settings meet tasks."""

import socket
from collections.abc import Callable
from functools import cache
from logging import getLogger
from typing import TYPE_CHECKING, Any

from celery import Celery
from celery.signals import worker_process_init, worker_process_shutdown

from db.settings import DatabaseSettings
from worker.contract.messages import MONITORING_QUEUE, REDIS_TIMEOUT_SECONDS, SCORING_QUEUE, celery_settings
from worker.process.presence import PresenceStep
from worker.process.receiving import use_strict_transport
from worker.process.tasks import register_tasks
from worker.runtime.context import WorkerContext, open_context
from worker.runtime.settings import WorkerSettings

if TYPE_CHECKING:
    from worker.scoring.model_cache import ModelSlot

logger = getLogger(__name__)

CHILD_START_SECONDS = 180.0  # importing TensorFlow without bytecode takes 25 s on a slow disk
SOFT_SHUTDOWN_SECONDS = 5.0  # a running shard may finish in this time, then it is given back


def create_app(
    settings: WorkerSettings,
    database: DatabaseSettings,
    *,
    queues: tuple[str, ...],
    concurrency: int,
    ends_with_parent: bool = False,
) -> Celery:
    """Return the application for a worker that serves `queues` with `concurrency` children.

    TensorFlow is imported only in the children: if the parent runs an operation before the fork, every child hangs.
    """
    use_strict_transport()
    app = Celery("tidemark", broker=settings.broker_url)
    app.conf.update(
        celery_settings(),
        worker_proc_alive_timeout=CHILD_START_SECONDS,
        worker_soft_shutdown_timeout=SOFT_SHUTDOWN_SECONDS,
        broker_transport_options=_limits_of_silence(),
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
    )
    context = cache(lambda: open_context(settings, database))
    slot = register_tasks(app, context)
    models = slot if SCORING_QUEUE in queues else None
    needs_tensorflow = any(queue != MONITORING_QUEUE for queue in queues)
    threads = max(1, settings.cores // concurrency)
    worker_process_init.connect(
        lambda **_signal: _prepare_child(context, threads if needs_tensorflow else 0, models), weak=False
    )
    worker_process_shutdown.connect(lambda **_signal: context().close(), weak=False)
    assert app.steps is not None, "Celery makes the registry of steps with the application"
    app.steps["worker"].add(_presence_of(settings, database, queues, ends_with_parent=ends_with_parent))
    return app


def _limits_of_silence() -> dict[str, Any]:
    """How long Redis may be silent.

    A dead host is noticed after half a minute instead of two hours, if the system supports it; an
    missing answer does not delay a stop.
    """
    wanted = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
    options = {getattr(socket, name): value for name, value in wanted.items() if hasattr(socket, name)}
    seconds = {"socket_timeout": 2 * REDIS_TIMEOUT_SECONDS, "socket_connect_timeout": REDIS_TIMEOUT_SECONDS}
    return {"socket_keepalive": True, "socket_keepalive_options": options} | seconds


def has_lost_server(app: Celery) -> bool:
    """Whether the worker of this application ended because it lost Redis or the database."""
    assert app.steps is not None, "Celery makes the registry of steps with the application"
    return any(getattr(step, "lost_server", None) for step in app.steps["worker"])


def _prepare_child(
    context: Callable[[], WorkerContext], tensorflow_threads: int, models: "Callable[[], ModelSlot] | None"
) -> None:
    """Open the child's own context and load TensorFlow and the champions before the first shard asks for them."""
    child = context()
    if tensorflow_threads:
        from worker.process.tensorflow_threads import limit_threads  # noqa: PLC0415 - only in the child

        limit_threads(tensorflow_threads)
    if models is not None:
        models().load_champions(child.engine)
    logger.info("Worker process ready: %s.", child.name)


def _presence_of(
    settings: WorkerSettings, database: DatabaseSettings, queues: tuple[str, ...], *, ends_with_parent: bool
) -> type[PresenceStep]:
    stops_with_parent, listened_to = ends_with_parent, queues

    class Presence(PresenceStep):
        """Records in the database that this worker is running."""

        url = database.url
        redis_url = settings.broker_url
        queues = listened_to
        kind = "worker:" + ",".join(listened_to)
        ends_with_parent = stops_with_parent
        lost_after_seconds = settings.lost_after_seconds

    return Presence
