"""Scores a frame again and again in one process, as a worker does between reading and writing; no database.

    python -m benchmarks.peers.lone_scoring FRAME.parquet MODELS VERSION TIMES

Says ready, waits for a line, runs.
"""

import sys

import pandas as pd

from benchmarks.__main__ import use_one_thread


def main() -> None:
    path, models, version, times = sys.argv[1:]
    use_one_thread()
    from transformer.bundles.bundle import load_bundle  # noqa: PLC0415 - after the number of threads is set
    from transformer.scoring.scorer import Scorer  # noqa: PLC0415

    scorer, frame = Scorer(load_bundle(models, version), version), pd.read_parquet(path)
    scorer.score(frame)
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(int(times)):
        scorer.score(frame)


if __name__ == "__main__":
    main()
