"""Starts a worker: `python -m worker --queues scoring --concurrency 2`."""

import argparse
import logging
import os
import sys

from pydantic import ValidationError

from db.settings import DatabaseSettings, describe_invalid_settings
from worker.contract.messages import ONLINE_QUEUE, QUEUES, SCORING_QUEUE
from worker.runtime.settings import WorkerSettings

WRONG_USAGE = 64


def main(arguments: list[str] | None = None) -> int:
    """Run a worker in the foreground until it is stopped; return its exit code."""
    options = _parser().parse_args(arguments)
    # SIGTERM alone waits for running tasks without end; as SIGQUIT the shard is given back after some seconds.
    os.environ.setdefault("REMAP_SIGTERM", "SIGQUIT")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.basicConfig(level=options.log_level, format="%(asctime)s %(levelname)s %(process)d %(name)s %(message)s")
    logging.getLogger("celery.worker.strategy").setLevel(logging.WARNING)
    logging.getLogger("celery.app.trace").setLevel(logging.WARNING)
    queues = tuple(dict.fromkeys(options.queues.split(",")))
    unknown = [queue for queue in queues if queue not in QUEUES]
    if unknown:
        sys.stderr.write(f"unknown queue {unknown[0]!r}; the queues are {', '.join(QUEUES)}\n")
        return WRONG_USAGE
    try:
        settings, database = WorkerSettings(), DatabaseSettings()
    except ValidationError as error:
        sys.stderr.write(f"wrong settings: {describe_invalid_settings(error)}\n")
        return WRONG_USAGE
    return _run(settings, database, queues, options)


def _run(
    settings: WorkerSettings, database: DatabaseSettings, queues: tuple[str, ...], options: argparse.Namespace
) -> int:
    # REMAP_SIGTERM must be set before Celery is imported.
    from celery.signals import setup_logging  # noqa: PLC0415

    from worker.contract.scratch import remove_leftovers  # noqa: PLC0415
    from worker.process.app import create_app, has_lost_server  # noqa: PLC0415
    from worker.process.presence import LOST_SERVER  # noqa: PLC0415

    # Celery would raise the level of all loggers to its own; with a listener on this signal it does not.
    setup_logging.connect(_leave_logging, weak=False)
    remove_leftovers(settings.scratch)
    concurrency = options.concurrency or settings.cores
    app = create_app(
        settings, database, queues=queues, concurrency=concurrency, ends_with_parent=options.ends_with_parent
    )
    name = f"{'-'.join(queues)}-{os.getpid()}@%h"
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    served = (*queues, ONLINE_QUEUE) if SCORING_QUEUE in queues else queues
    command = ["--quiet", "worker", "--pool", "prefork", "--concurrency", str(concurrency)]
    app.worker_main([*command, "--queues", ",".join(served), "--hostname", name, *quiet])
    return LOST_SERVER if has_lost_server(app) else 0  # Celery keeps its exit code for itself


def _leave_logging(**_signal: object) -> None:
    """Logging is set up in `main`."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m worker", description=__doc__)
    parser.add_argument("--queues", default=",".join(QUEUES), help="comma-separated: %(default)s")
    parser.add_argument("--concurrency", type=int, default=None, help="worker processes; default: one per core")
    parser.add_argument("--ends-with-parent", action="store_true", help="stop when the process that started it exits")
    parser.add_argument("--log-level", default="INFO", choices=["DEBUG", "INFO", "WARNING", "ERROR"])
    return parser


if __name__ == "__main__":
    sys.exit(main())
