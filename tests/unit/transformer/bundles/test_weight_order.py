"""Weights stand in a bundle's file in the order of the first releases, whatever the network looks like now."""

from itertools import groupby

import keras
import numpy as np
import pandas as pd
import pytest

from transformer.bundles.weight_order import in_stored_order
from transformer.network.architecture import NetworkOptions, build_network
from transformer.records.column_reading import read_columns
from transformer.records.features import FeatureTransform
from transformer.records.schema import Field, History, RecordSchema

NUMBERS = (Field("a", "numeric"), Field("b", "numeric"))
NAME = Field("c", "categorical")
MONTHS = History("p", "numeric", ("p1", "p2"))
NAMED_MONTHS = History("q", "categorical", ("q1", "q2"))
BARE = NetworkOptions(blocks=2, direct=0, trees=1)

# Written down from the networks of release 0.1.0.
ORDERS = [
    (
        RecordSchema((*NUMBERS, NAME), (MONTHS, NAMED_MONTHS)),
        NetworkOptions(),
        "names numbers name_places month_names months pooled encoder_0 month_places direct_numbers direct_months "
        "direct_names decoder_0 direct_month_names summary_norm direct_bias card_names card_month_names card_numbers "
        "card_months head direct",
    ),
    (
        RecordSchema((*NUMBERS, NAME), (MONTHS, NAMED_MONTHS)),
        BARE,
        "names numbers name_places month_names pooled months encoder_0 encoder_1 month_places decoder_0 decoder_1 "
        "summary_norm card_names card_month_names card_numbers card_months trees head",
    ),
    (
        RecordSchema(NUMBERS),
        NetworkOptions(),
        "numbers pooled encoder_0 direct_numbers summary_norm direct_bias card_numbers head direct",
    ),
    (RecordSchema(NUMBERS), BARE, "numbers pooled encoder_0 encoder_1 summary_norm card_numbers trees head"),
    (
        RecordSchema((NAME,), (MONTHS,)),
        NetworkOptions(),
        "names name_places pooled months encoder_0 month_places decoder_0 direct_names direct_months summary_norm "
        "direct_bias card_names card_months head direct",
    ),
    (
        RecordSchema(NUMBERS[:1], (NAMED_MONTHS,)),
        NetworkOptions(),
        "numbers month_names pooled encoder_0 month_places decoder_0 direct_month_names direct_numbers summary_norm "
        "direct_bias card_month_names card_numbers head direct",
    ),
    (
        RecordSchema(NUMBERS[:1], (NAMED_MONTHS,)),
        BARE,
        "numbers pooled month_names encoder_0 encoder_1 month_places decoder_0 decoder_1 summary_norm "
        "card_month_names card_numbers trees head",
    ),
]


def network_of(schema: RecordSchema, options: NetworkOptions) -> keras.Model:
    kinds = {name: kind for name, (kind, _codes) in schema.readings.items()}
    frame = pd.DataFrame(
        {
            name: np.arange(60.0) % 7 if kind == "numeric" else pd.Series(["x", "y"] * 30, dtype="object")
            for name, kind in kinds.items()
        }
    )
    arrays, _ = read_columns(frame, schema)
    return build_network(FeatureTransform.fit(arrays, schema), options)


@pytest.mark.parametrize(("schema", "options", "order"), ORDERS)
def test_the_order_is_that_of_the_first_release(schema: RecordSchema, options: NetworkOptions, order: str) -> None:
    network = network_of(schema, options)
    weights = in_stored_order(network)
    assert [name for name, _ in groupby(one.path.split("/")[0] for one in weights)] == order.split()
    assert {id(one) for one in weights} == {id(one) for one in network.weights}


def test_a_layer_that_the_first_release_did_not_have_comes_behind_those_it_had() -> None:
    network = network_of(RecordSchema(NUMBERS), NetworkOptions())
    summary = network.get_layer("summary_norm").output
    more = keras.layers.Dense(1, name="later")(summary)
    order = [one.path.split("/")[0] for one in in_stored_order(keras.Model(network.input, [network.output, more]))]
    assert order.index("later") > order.index("direct_bias")
