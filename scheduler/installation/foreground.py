"""Runs every part of the installation in the foreground until it is stopped."""

import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from scheduler.client.local_api import find_local_address
from scheduler.installation.job_waiting import TEND_SECONDS, running_parts
from scheduler.installation.parts import log_folder
from scheduler.installation.supervision import ChildProcess, Part
from scheduler.settings import SchedulerSettings
from worker.contract.messages import QUEUES


def run_until_stopped(
    settings: SchedulerSettings,
    *,
    with_api: bool,
    sign_in: str,
    on_event: Callable[[str], None],
    on_ready: Callable[[list[dict[str, Any]]], None],
) -> None:
    """Keep the parts running until SIGINT or SIGTERM, then stop them in order.

    `sign_in` says how to sign in to the dashboard, and is shown with its address.
    """
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
                    "Another process of this installation already runs everything; this one takes over when it ends."
                )
            on_event(f"Logs are in {log_folder(settings)}")
            on_ready([{"name": part.name, "pid": getattr(part, "pid", None)} for part in owned])
            tell_address = _address_teller(settings.state_folder, owned, sign_in, on_event)
            while not stopping.wait(TEND_SECONDS):
                supervisor.tend()
                if with_api:
                    tell_address()
            on_event("Stopping ...")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _address_teller(
    home: Path, owned: Sequence[Part], sign_in: str, on_event: Callable[[str], None]
) -> Callable[[], None]:
    """Return a function that prints the dashboard's address once the API answers, and again when it changes."""
    own = next((part for part in owned if part.name == "api"), None)
    said = ""

    def look() -> None:
        nonlocal said
        found = find_local_address(home)
        # A note without its process was left by one that was killed.
        if found is None or found[0] == said or (isinstance(own, ChildProcess) and found[1] != own.pid):
            return
        said = found[0]
        on_event(f"The dashboard and the API are at {said}; {sign_in}")

    return look
