"""Trains the waiting job in a process that gets no more than so many megabytes beside what its libraries have.

    python -m tests.integration.worker.training_within DATABASE_URL HOME MEGABYTES

Pages of mapped files do not count: the system takes them back when it needs them.
"""

import faulthandler
import resource
import sys
from contextlib import closing
from pathlib import Path

import tensorflow as tf

from db.settings import DatabaseSettings
from worker.runtime.context import open_context
from worker.runtime.settings import WorkerSettings
from worker.training.next_job import train_next_job


def main(database_url: str, home: str, megabytes: int) -> None:
    """Do what a training worker's child does."""
    faulthandler.enable()
    tf.constant(1.0)  # its threads are there now
    (had,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData"))
    most = int(had.split()[1]) * 1024 + megabytes * 1_000_000
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    database = DatabaseSettings.model_validate({"database_url": database_url})
    with closing(open_context(WorkerSettings.model_validate({"home": Path(home)}), database)) as context:
        train_next_job(context)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
