"""Names that too few records hold share slots, none of which stands for few records."""

import numpy as np
import pandas as pd

from transformer.records.column_reading import read_columns
from transformer.records.features import UNKNOWN_ID, FeatureTransform
from transformer.records.rare_names import fit_slots, slots_of
from transformer.records.schema import Field, RecordSchema

SCHEMA = RecordSchema((Field("town", "categorical"),))


def towns() -> pd.DataFrame:
    """One town of 1,000 records, 600 of two records each."""
    names = ["capital"] * 1000 + [f"village {row // 2}" for row in range(1200)]
    return pd.DataFrame({"town": pd.Series(names, dtype="object")})


def test_a_slot_that_is_used_stands_for_enough_records() -> None:
    rare = np.array([f"n{row // 3}" for row in range(900)], dtype=object)
    used = fit_slots(rare, 20)
    counts = np.bincount(slots_of(rare, len(used)), minlength=len(used))
    assert len(used) == 900 // 30
    np.testing.assert_array_equal(used, counts >= 20)
    assert not fit_slots(rare[:29], 20).any()


def test_a_name_has_the_same_slot_in_any_company() -> None:
    alone = slots_of(np.array(["village 7"], dtype=object), 30)
    among = slots_of(np.array(["a", "village 7", "b"], dtype=object), 30)
    assert alone[0] == among[1]


def test_rare_names_have_slots_of_enough_records_and_none_is_kept() -> None:
    arrays, _ = read_columns(towns(), SCHEMA)
    transform = FeatureTransform.fit(arrays, SCHEMA)
    inputs = transform.transform(arrays)
    slots = inputs["rare"][:, 0]
    assert (slots[:1000] == 0).all()
    assert (inputs["categories"][1000:, 0] == UNKNOWN_ID).all()
    assert (slots[1000:] > 0).mean() > 0.8
    assert slots.max() == transform.slots_of(SCHEMA.fields[0])
    assert np.bincount(slots)[1:].min() >= 20
    assert "village" not in str(transform.to_document())


def test_the_transform_comes_back_from_its_document() -> None:
    arrays, _ = read_columns(towns(), SCHEMA)
    transform = FeatureTransform.fit(arrays, SCHEMA)
    again = FeatureTransform.from_document(transform.to_document())
    np.testing.assert_array_equal(again.transform(arrays)["rare"], transform.transform(arrays)["rare"])


def test_a_transform_of_an_older_bundle_has_no_slots() -> None:
    arrays, _ = read_columns(towns(), SCHEMA)
    document = FeatureTransform.fit(arrays, SCHEMA).to_document()
    del document["slots"]
    assert "rare" not in FeatureTransform.from_document(document).transform(arrays)
