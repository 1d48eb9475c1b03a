"""Times a peer's scoring of the records of a Parquet file (the target is its last column), on one thread.

    python -m benchmarks.peers.scoring lightgbm|torch PATH RUNS [--quick]

Prints the CPU seconds of each run as JSON.
"""

import json
import sys
from collections.abc import Callable
from time import process_time
from typing import Any

import numpy as np
import pandas as pd


def main() -> None:
    peer, path, runs = sys.argv[1], sys.argv[2], int(sys.argv[3])
    frame = pd.read_parquet(path)
    records, target = frame.iloc[:, :-1], frame.iloc[:, -1].to_numpy()
    acts = {"lightgbm": time_lightgbm, "torch": time_torch}[peer](records, target)
    print(json.dumps({name: time_runs(act, runs) for name, act in acts.items()}))


def time_runs(act: Callable[[], Any], runs: int) -> list[float]:
    act()
    seconds: list[float] = []
    for _ in range(runs):
        begun = process_time()
        act()
        seconds.append(process_time() - begun)
    return seconds


def time_lightgbm(records: pd.DataFrame, target: Any) -> dict[str, Callable[[], Any]]:
    import lightgbm  # noqa: PLC0415 - a peer that need not be there

    values = as_numbers(records)
    data = lightgbm.Dataset(values, label=target)
    settings = {"objective": "binary", "num_leaves": 31, "learning_rate": 0.03, "verbose": -1, "num_threads": 1}
    booster = lightgbm.train(settings, data, num_boost_round=500)
    return {"LightGBM, 500 trees of 31 leaves": lambda: booster.predict(values, num_threads=1)}


def time_torch(records: pd.DataFrame, _target: Any) -> dict[str, Callable[[], Any]]:
    """An FT-Transformer of the default network's size: width 32, 4 heads, 2 blocks, a token per field and month."""
    import torch  # noqa: PLC0415 - a peer that need not be there

    from benchmarks.peers.ft_transformer import FTTransformer  # noqa: PLC0415

    torch.set_num_threads(1)
    values = torch.tensor(np.nan_to_num(as_numbers(records)), dtype=torch.float32)
    network = torch.compile(FTTransformer(values.shape[1]).eval())
    acts: dict[str, Callable[[], Any]] = {}
    for rows in (512,) if "--quick" in sys.argv else (512, 1024, 2048, 4096):

        def act(rows: int = rows) -> None:
            with torch.inference_mode():
                for first in range(0, len(values) - rows + 1, rows):
                    network(values[first : first + rows])

        acts[f"torch.compile, FT-Transformer, batch {rows}"] = act
    return acts


def as_numbers(records: pd.DataFrame) -> Any:
    """Names become their number in order; the rest is a number already."""
    return np.column_stack(
        [
            one.to_numpy(np.float64) if one.dtype.kind in "iuf" else pd.factorize(one, sort=True)[0].astype(np.float64)
            for _, one in records.items()
        ]
    )


if __name__ == "__main__":
    main()
