"""Compiles scorer and training step, once on a machine: a step of the installation, so that no worker has to.

`python -m transformer.precompile` takes about a minute the first time and some seconds when there is nothing to do.
"""

from datetime import UTC, datetime

import keras
import numpy as np
import pandas as pd

from transformer.arithmetic.simd import VECTOR
from transformer.branches.tree_boosting import Booster
from transformer.events.aggregation import make_aggregates
from transformer.events.event_columns import EventColumns
from transformer.events.event_feed import count_feed
from transformer.events.event_network import EventNetwork, shapes_of
from transformer.events.event_tokens import TokenForm
from transformer.fitting.compiled_stepper import CompiledStepper
from transformer.fitting.examples import Examples
from transformer.fitting.options import FittingOptions
from transformer.network.architecture import NetworkOptions, build_network, tree_inputs
from transformer.network.compiled_network import CompiledNetwork
from transformer.reasons.explainer import HeadSizes, Ladder, ReasonHead
from transformer.reasons.reason_scorer import CompiledReasons
from transformer.records.column_reading import read_columns
from transformer.records.event_schema import Aggregate, EventTable, EventValue
from transformer.records.features import FeatureTransform, Inputs
from transformer.records.schema import Field, RecordSchema

ROWS = 50
_SCHEMA = RecordSchema((Field("number", "numeric"), Field("name", "categorical")))


def precompile() -> bool:
    """Compile for whatever network is scored later, since all have the same types; return whether it is of use."""
    frame = pd.DataFrame({"number": np.linspace(0, 1, ROWS), "name": ["a", "b"] * (ROWS // 2)})
    arrays, _ = read_columns(frame, _SCHEMA)
    transform = FeatureTransform.fit(arrays, _SCHEMA, np.arange(len(frame)))
    transform.transform(arrays)
    _compile_events()
    network = build_network(transform, NetworkOptions(oblivious=1))
    can_score = not CompiledNetwork.of(network, transform).by_tensorflow and _compile_reasons()
    return can_score and _compile_training(network, transform, transform.transform(arrays))


def _compile_training(network: keras.Model, transform: FeatureTransform, inputs: Inputs) -> bool:
    examples = Examples(inputs, (np.arange(ROWS) % 2).astype(np.float64))
    stepper = CompiledStepper.of(network, FittingOptions.for_rows(ROWS, epochs=1, seed=1), transform)
    if stepper is None:
        return False
    stepper.begin(ROWS)
    stepper.run_epoch(examples, np.random.default_rng(1), 1, lambda: None)
    asked = tree_inputs(transform)
    Booster(asked, 1, lambda: None).choose(examples, examples)
    return True


def _compile_events() -> None:
    table = EventTable("log", "type", (EventValue("amount", "numeric"),))
    frame, none = pd.DataFrame({"type": ["a", "b"], "amount": [1.0, 2.0]}), np.zeros(2, np.int64)
    columns = EventColumns.of(frame, none, none, none[:1], table)
    own = Aggregate("sum", "sum", "amount"), Aggregate("pairs", "followed", among="type", name="a", then="b")
    make_aggregates(columns, own)
    form = TokenForm.fit(table, columns)
    EventNetwork(form, {name: np.zeros(one, np.float32) for name, one in shapes_of(form).items()}).logits(columns)
    count_feed(columns, none[:1], datetime.now(UTC))


def _compile_reasons() -> bool:
    step = np.zeros((1, 1, 1), np.float32)
    head = ReasonHead(Ladder(np.zeros((1, 1), np.int32), step, step + 1, step[0]), HeadSizes())
    head.build((None, 1), (None, VECTOR))
    return CompiledReasons.of(head, VECTOR) is not None


if __name__ == "__main__":
    precompile()
