"""Scoring inputs that are ready: the compiled network, Keras at its best batch size, LightGBM and PyTorch, one core.

CPU seconds of one thread, so that a busy machine is the same for all. Same records; Keras has the same weights.
"""

import json
import subprocess
from typing import Any

import numpy as np

from benchmarks.site import Site
from benchmarks.timing import rates, ratio, time_alternating

ROWS = 20_480
BATCHES, QUICK_BATCHES = (512, 1024, 2048, 4096, 8192), (2048, 4096)


def measure(site: Site) -> dict[str, Any]:
    import tensorflow as tf  # noqa: PLC0415 - TensorFlow only where it is needed, on the one thread that `main` set

    from transformer.bundles.bundle import load_bundle  # noqa: PLC0415
    from transformer.network.compiled_network import CompiledNetwork  # noqa: PLC0415
    from transformer.records.column_reading import read_columns  # noqa: PLC0415

    model = load_bundle(str(site.home / "models"), site.version)
    inputs = model.transform.transform(read_columns(site.frame.iloc[:ROWS], model.schema)[0])
    compiled = CompiledNetwork.of(model.network, model.transform)
    assert compiled is not None, "the default network has a compiled form"
    network = model.network
    traced = tf.function(lambda batch: tf.reduce_mean(network(batch, training=False), axis=1))
    tensors = {name: tf.constant(values) for name, values in inputs.items()}
    parts = [{name: values[first : first + 2048] for name, values in tensors.items()} for first in range(0, ROWS, 2048)]
    acts: dict[str, Any] = {
        "tidemark": lambda: compiled.run(inputs),
        "tf.function": lambda: [traced(one) for one in parts],
    }
    for rows in QUICK_BATCHES if site.quick else BATCHES:
        acts[f"predict {rows}"] = lambda rows=rows: network.predict(inputs, batch_size=rows, verbose=0)
    seconds = time_alternating(acts, runs=site.runs, cpu=True)
    best = min((name for name in acts if name.startswith("predict")), key=lambda name: np.median(seconds[name]))
    difference = np.abs(
        compiled.run(inputs)[0] - network.predict(inputs, batch_size=2048, verbose=0).mean(axis=1)
    ).max()
    return {
        "weights": int(network.count_params()),
        "largest difference of a logit": float(difference),
        "rates": rates(seconds, ROWS),
        f"tidemark against {best} (its best)": ratio(seconds["tidemark"], seconds[best]),
        "tidemark against tf.function": ratio(seconds["tidemark"], seconds["tf.function"]),
        "peers": _peers(site, seconds["tidemark"]),
    }


def _peers(site: Site, ours: list[float]) -> dict[str, Any]:
    path = site.home / "records.parquet"
    columns = list(site.definition.input_columns)
    site.frame[[*columns, str(site.definition.target)]].iloc[:ROWS].to_parquet(path)
    document: dict[str, Any] = {}
    for peer in ("lightgbm", "torch"):
        command = [site.peers_python, "-m", "benchmarks.peers.scoring", peer, str(path), str(site.runs)]
        command += ["--quick"] if site.quick else []
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
        if done.returncode != 0:
            document[peer] = f"not measured: {done.stderr.strip().splitlines()[-1] if done.stderr else done.returncode}"
            continue
        for name, seconds in json.loads(done.stdout.splitlines()[-1]).items():
            document[name] = {
                "records_per_second": round(ROWS / float(np.median(seconds))),
                "tidemark is faster by": ratio(ours[: len(seconds)], seconds[: len(ours)]),
            }
    return document
