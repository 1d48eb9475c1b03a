"""Loads TensorFlow into a worker process, with as many threads as its share of the cores."""

import sys
from collections.abc import Generator
from contextlib import contextmanager

# Keras imports these where they are installed, for pictures and wrappers that no worker uses: 60 MB of each process and
# a second of its start. Code that needs them imports them later.
_LEFT_OUT = ("matplotlib", "PIL", "sklearn")


@contextmanager
def _without(names: tuple[str, ...]) -> Generator[None]:
    hidden = [name for name in names if name not in sys.modules]
    sys.modules |= dict.fromkeys(hidden)  # None: cannot be imported
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


with _without(_LEFT_OUT):
    import tensorflow as tf


def limit_threads(threads: int) -> None:
    """Must run before the first operation of the process."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
