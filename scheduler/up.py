"""Runs every part of the installation in the foreground until it is told to stop."""

import signal
import threading
from collections.abc import Callable
from typing import Any

from scheduler.settings import SchedulerSettings
from scheduler.stack import log_folder
from scheduler.supervision import ChildProcess
from scheduler.waiting import TEND_SECONDS, running_parts
from worker.messages import QUEUES


def run_until_stopped(
    settings: SchedulerSettings,
    *,
    with_api: bool,
    on_event: Callable[[str], None],
    on_ready: Callable[[list[dict[str, Any]]], None],
) -> None:
    """Keep the parts running until SIGINT or SIGTERM, then stop them in order."""
    stopping = threading.Event()
    before = {number: signal.signal(number, lambda *_: stopping.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with running_parts(settings, QUEUES, on_event, with_api=with_api) as supervisor:
            owned = supervisor.owned()
            for part in owned:
                pid = f", process {part.pid}" if isinstance(part, ChildProcess) else ""
                on_event(f"started {part.name}{pid}")
            if not owned:
                on_event(
                    "Another process of this installation runs everything already; this one takes over at its end."
                )
            on_event(f"Logs are in {log_folder(settings)}")
            on_ready([{"name": part.name, "pid": getattr(part, "pid", None)} for part in owned])
            while not stopping.wait(TEND_SECONDS):
                supervisor.tend()
            on_event("Stopping ...")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
