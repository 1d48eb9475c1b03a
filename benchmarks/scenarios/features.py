"""From a frame of records to the network's inputs, and the digests: CPU on one core."""

from typing import Any

import numpy as np

from benchmarks.site import Site
from benchmarks.timing import rates, time_alternating
from db.ledger.digests import data_digest, score_digest
from db.sources.source_table import RECORD_KEY, read_all

ROWS = 10_000


def measure(site: Site) -> dict[str, Any]:
    from transformer.bundles.bundle import load_bundle  # noqa: PLC0415 - TensorFlow only where it is needed
    from transformer.records.column_reading import read_columns  # noqa: PLC0415

    model = load_bundle(str(site.home / "models"), site.version)
    definition = site.definition
    frame = next(read_all(site.engine, definition.records, definition.key, definition.input_columns, batch_rows=ROWS))
    arrays = read_columns(frame, model.schema)[0]
    keys, probabilities = frame[RECORD_KEY].to_numpy(dtype=object), np.random.default_rng(0).random(len(frame))
    acts = {
        "read columns": lambda: read_columns(frame, model.schema),
        "transform": lambda: model.transform.transform(arrays),
        "digest of the data": lambda: data_digest(frame),
        "digest of the scores": lambda: score_digest(keys, probabilities, site.version),
    }
    return {"rates": rates(time_alternating(acts, runs=4 * site.runs, cpu=True), len(frame))}
