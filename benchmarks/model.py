"""Makes the model that the benchmarks of speed score with: the default network, untrained.

How fast it is depends on its sizes and on the edges and names of the book, not on what it has learnt. It gives no
reasons: those are made at training.
"""

from pathlib import Path

import numpy as np

from db.connections.engine import Engine, writing
from db.portfolios.definition import PortfolioDefinition
from db.registry.champions import Decision, decide
from db.registry.versions import register_model
from db.sources.source_table import read_all
from transformer.bundles.bundle import save_bundle
from transformer.bundles.calibration import Calibration
from transformer.bundles.trained_model import TrainedModel
from transformer.network.architecture import NetworkOptions, build_network
from transformer.records.column_reading import read_columns
from transformer.records.features import FeatureTransform
from worker.runtime.portfolio_mapping import schema_of

FITTING_RECORDS = 20_000


def make_champion(engine: Engine, definition: PortfolioDefinition, home: Path) -> str:
    """Make the default network for the book the champion, and return its version."""
    columns = definition.input_columns
    frame = next(read_all(engine, definition.records, definition.key, columns, batch_rows=FITTING_RECORDS))
    schema = schema_of(definition)
    arrays = read_columns(frame[list(definition.input_columns)], schema)[0]
    transform = FeatureTransform.fit(arrays, schema)
    model = TrainedModel(
        network=build_network(transform),
        network_options=NetworkOptions(),
        transform=transform,
        calibration=Calibration(1.0, 0.0),
        metrics={},
        counts={"rows": len(frame)},
        holdout_keys=np.array([], dtype=object),
        reference_probabilities=np.full(1000, 0.2),
        epochs_run=0,
        seconds=0.0,
    )
    version = save_bundle(model, str(home / "models"))
    reference = {"points": {"500": 300, "520": 300}, "unscorable": 0}
    with writing(engine) as connection:
        register_model(connection, version=version, job_id=None, definition=definition, metrics={}, reference=reference)
        words = {"reason": "benchmark", "figures": {}, "decided_by": "benchmark", "job_id": None}
        decision = Decision(definition.name, version, None, promoted=True, **words)
        decide(connection, decision, champion_before=None)
    return version
