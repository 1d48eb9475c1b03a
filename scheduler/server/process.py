"""Runs the API in the foreground: `python -m scheduler.server.process`."""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from logging import getLogger

import uvicorn
from pydantic import ValidationError

from db.connections.engine import Engine, opened_engine
from db.errors import DatabaseError
from db.migrations.upgrade import prepare_database
from db.settings import DatabaseSettings, describe_invalid_settings
from scheduler.api_settings import ApiSettings
from scheduler.server.address_file import forget_address, write_address
from scheduler.server.app import create_app
from scheduler.server.connections import server_config
from scheduler.server.local_key import ensure_local_key
from scheduler.settings import SchedulerSettings

logger = getLogger(__name__)

BIND_AGAIN_SECONDS = 5.0
LOOK_SECONDS = 1.0
_SWITCH_SECONDS = 0.001  # a thread that reads a large body lets the others go on five times as often as usual
WRONG_USAGE, FAILED = 64, 3


def main() -> int:
    """Serve until SIGTERM or SIGINT; return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(process)d %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it logs every check of the schema, and so every /readyz
    try:
        settings, database, scheduler_settings = ApiSettings(), DatabaseSettings(), SchedulerSettings()
    except ValidationError as error:
        sys.stderr.write(f"wrong settings: {describe_invalid_settings(error)}\n")
        return WRONG_USAGE
    ends_with_parent = "--ends-with-parent" in sys.argv[1:]
    with opened_engine(database.url) as engine:
        try:
            prepare_database(engine)
            if database.database_url is None:
                ensure_local_key(engine, settings.state_folder)
        except DatabaseError as error:
            logger.critical("The API cannot start: %s", error)
            return FAILED
        sys.setswitchinterval(_SWITCH_SECONDS)
        with asyncio.Runner(loop_factory=_quickest_loop()) as runner:
            runner.run(_serve(engine, settings, scheduler_settings, ends_with_parent=ends_with_parent))
    return 0


def _quickest_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's loop factory, or None (for Python's own loop) on Windows."""
    try:
        from uvloop import new_event_loop  # noqa: PLC0415 - no wheel for Windows
    except ImportError:
        return None
    return new_event_loop


async def _serve(
    engine: Engine, settings: ApiSettings, scheduler_settings: SchedulerSettings, *, ends_with_parent: bool
) -> None:
    """Bind, store the address, serve; retry while the port is taken, so that `tidemark up` keeps running."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    watch = asyncio.create_task(_watch_parent(stopping)) if ends_with_parent else None
    listener = await _bind(settings, stopping)
    if listener is not None:
        app = create_app(engine, settings, scheduler_settings)
        # What is loaded stays: searched for garbage while a large body is read, it stops all answers for half a second.
        gc.collect()
        gc.freeze()
        config = server_config(app, settings, timeout_graceful_shutdown=5)
        url = _url_of(listener)
        write_address(settings.state_folder, url)
        logger.info("The API answers at %s", url)
        await _run(_Server(config), listener, stopping)
        forget_address(settings.state_folder)
    if watch is not None:
        watch.cancel()
    logger.info("The API stopped.")


class _Server(uvicorn.Server):
    """A server that leaves signals to this process, which must be able to stop while it waits for its port."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Capture none."""
        yield


async def _run(server: uvicorn.Server, listener: socket.socket, stopping: asyncio.Event) -> None:
    serving = asyncio.create_task(server.serve([listener]))
    waiting = asyncio.create_task(stopping.wait())
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    waiting.cancel()
    await serving


async def _bind(settings: ApiSettings, stopping: asyncio.Event) -> socket.socket | None:
    address = (settings.api_host, settings.api_port)
    has_warned = False
    while not stopping.is_set():
        try:
            family = socket.AF_INET6 if ":" in settings.api_host else socket.AF_INET
            return socket.create_server(address, family=family, backlog=512)
        except OSError as error:
            if not has_warned:
                log_fields = (*address, error.strerror, BIND_AGAIN_SECONDS)
                logger.warning(
                    "Cannot listen on %s:%d (%s); set TIDEMARK_API_PORT. Tried again every %g s.", *log_fields
                )
            has_warned = True
        try:
            await asyncio.wait_for(stopping.wait(), BIND_AGAIN_SECONDS)
        except TimeoutError:
            continue
    return None


async def _watch_parent(stopping: asyncio.Event) -> None:
    started_by = os.getppid()
    while os.getppid() == started_by:
        await asyncio.sleep(LOOK_SECONDS)
    logger.info("The process that started this API has exited; the API stops.")
    stopping.set()


def _url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{port}"


if __name__ == "__main__":
    sys.exit(main())
