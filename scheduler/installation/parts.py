"""The parts of an installation on this machine: embedded Redis, scheduler, workers."""

import os
import sys
from pathlib import Path

from scheduler.installation.embedded_redis import EmbeddedRedis
from scheduler.installation.extras import SERVER, extras_of_queues, require_extras
from scheduler.installation.supervision import ChildProcess, Part
from scheduler.settings import SchedulerSettings
from worker.contract.messages import MONITORING_QUEUE, QUEUES, SCORING_QUEUE


def build_parts(settings: SchedulerSettings, queues: tuple[str, ...] = QUEUES, *, with_api: bool = False) -> list[Part]:
    """Return the parts that serve these queues, in the order of their start.

    Raises `MissingExtraError` where one of them is not installed.
    """
    require_extras(*extras_of_queues(queues), SERVER)
    parts: list[Part] = []
    if settings.is_redis_embedded:
        parts.append(EmbeddedRedis(settings.state_folder))
    parts.append(_process(settings, "scheduler", ("scheduler.loop.process", "--ends-with-parent")))
    for queue in queues:
        concurrency = settings.scoring_workers if queue == SCORING_QUEUE else 1
        command = ("worker", "--ends-with-parent", "--queues", queue, "--concurrency", str(concurrency))
        parts.append(_process(settings, f"{queue}-worker", command))
    if with_api:
        parts.append(_process(settings, "api", ("scheduler.server.process", "--ends-with-parent")))
    return parts


def queues_for(queue: str) -> tuple[str, ...]:
    """Return the queues that a command waiting for a job on `queue` needs, including those of follow-up jobs."""
    return (queue, MONITORING_QUEUE) if queue == SCORING_QUEUE else (queue,)


def log_folder(settings: SchedulerSettings) -> Path:
    """The folder of the logs of this machine's processes."""
    return settings.state_folder / "logs"


def _process(settings: SchedulerSettings, name: str, module_and_arguments: tuple[str, ...]) -> ChildProcess:
    command = (sys.executable, "-m", *module_and_arguments)
    environment = dict(os.environ) | {"TIDEMARK_HOME": str(settings.state_folder), "PYTHONUNBUFFERED": "1"}
    return ChildProcess(name, command, environment, log_folder(settings) / f"{name}.log")
