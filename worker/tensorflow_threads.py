"""Sets how many threads TensorFlow may use in this process, so that N workers on N cores do not fight."""

import tensorflow as tf


def limit_threads(threads: int) -> None:
    """Must run before the first operation of the process."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
