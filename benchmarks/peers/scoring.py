"""Times a peer's scoring of the records of a Parquet file (the target is its last column), on one thread.

    python -m benchmarks.peers.scoring lightgbm|torch PATH RUNS [--quick]
    python -m benchmarks.peers.scoring events PATH RUNS [--quick]

With `events` the file has a row for an event, by record and time: `record`, `at` (microseconds), its `kind` (a number)
and its `amount`; each record has as many. Prints the CPU seconds of each run as JSON.
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
    time_peer = {"lightgbm": time_lightgbm, "torch": time_torch, "events": lambda *_: time_events(frame)}[peer]
    acts = time_peer(records, target)
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
    batches = (512,) if "--quick" in sys.argv else (512, 1024, 2048, 4096)
    return _by_batch("torch.compile, FT-Transformer", network, (values,), batches)


def time_events(log: pd.DataFrame) -> dict[str, Callable[[], Any]]:
    """The same over events, one block: inputs ready, a token for each event and one for the record."""
    import torch  # noqa: PLC0415 - a peer that need not be there

    from benchmarks.peers.ft_transformer import EventTransformer  # noqa: PLC0415

    torch.set_num_threads(1)
    records = log["record"].nunique()
    days = log["at"].to_numpy().reshape(records, -1) / 86_400_000_000
    kinds, amounts = (log[name].to_numpy().reshape(records, -1) for name in ("kind", "amount"))
    age, gap = np.log1p(days.max() - days), np.log1p(np.diff(days, axis=1, prepend=days[:, :1]))
    hour = 2 * np.pi * (days % 1)
    numbers = np.stack([np.log1p(amounts), age, gap, np.sin(hour), np.cos(hour)], axis=-1)
    inputs = (torch.tensor(kinds), torch.tensor(numbers, dtype=torch.float32), torch.zeros(records, 1))
    network = torch.compile(EventTransformer(int(kinds.max()) + 1, numbers.shape[-1], 1).eval())
    batches = (250,) if "--quick" in sys.argv else (100, 250, 500, 1000)
    return _by_batch("torch.compile, event Transformer", network, inputs, batches)


def _by_batch(
    name: str, network: Any, inputs: tuple[Any, ...], batches: tuple[int, ...]
) -> dict[str, Callable[[], Any]]:
    import torch  # noqa: PLC0415

    acts: dict[str, Callable[[], Any]] = {}
    for rows in batches:

        def act(rows: int = rows) -> None:
            with torch.inference_mode():
                for first in range(0, len(inputs[0]) - rows + 1, rows):
                    network(*(one[first : first + rows] for one in inputs))

        acts[f"{name}, batch {rows}"] = act
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
