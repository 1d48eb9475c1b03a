"""A network of events scores as it was trained, sees no later event, and is read where order decides."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.unit.transformer.events.logs import START, TABLE, draw_columns
from transformer.events import event_training
from transformer.events.aggregation import make_aggregates
from transformer.events.event_columns import DAY, EventColumns
from transformer.events.event_network import EventNetwork, network_of
from transformer.events.event_preparation import choose_event_fields, read_event_fields
from transformer.events.event_store import EventStore
from transformer.events.event_tokens import TokenForm
from transformer.events.event_training import EventTrainer, predict
from transformer.events.order_choice import Order, with_orders
from transformer.records.event_schema import Aggregate, EventTable, EventValue
from transformer.records.labelled_book import Book
from transformer.records.record_store import FrameStore
from transformer.records.schema import RecordSchema
from transformer.training.event_fields import with_event_fields
from transformer.training.preparation import PreparationOptions

RECORDS = 1_200
MOTIF = EventTable("log", "kind", (EventValue("amount", "numeric"),))


def draw_motifs(seed: int = 1) -> Book:
    """Records that all have one x and one y among other events; it is bad when x comes first."""
    random, each = np.random.default_rng(seed), 12
    kinds = np.array(["a", "b", "c"], dtype=object)[random.integers(0, 3, (RECORDS, each))]
    places = np.sort(np.argsort(random.random((RECORDS, each)), axis=1)[:, :2], axis=1)
    is_first = random.random(RECORDS) < 0.5
    kinds[np.arange(RECORDS), places[:, 0]] = np.where(is_first, "x", "y")
    kinds[np.arange(RECORDS), places[:, 1]] = np.where(is_first, "y", "x")
    at = START + np.sort(random.random((RECORDS, each)) * 60 * DAY, axis=1).astype(np.int64)
    frame = pd.DataFrame({"kind": kinds.ravel(), "amount": random.normal(50, 9, RECORDS * each)})
    moments = np.full(RECORDS, START + 61 * DAY)
    columns = EventColumns.of(frame, at.ravel(), np.repeat(np.arange(RECORDS), each), moments, MOTIF)
    target = (random.random(RECORDS) < np.where(is_first, 0.95, 0.05)).astype(np.float64)
    keys = np.array([str(number) for number in range(RECORDS)], dtype=object)
    return Book(EventStore.of(FrameStore(pd.DataFrame(index=range(RECORDS))), moments, {"log": columns}), target, keys)


def draw_network(columns: EventColumns, table: EventTable = TABLE, *, seed: int = 1) -> EventNetwork:
    """Return a network of random weights, none of them near zero."""
    form = TokenForm.fit(table, columns)
    trainer = EventTrainer.new(form, form.read(columns), seed, lambda: None)
    random = np.random.default_rng(seed)
    return EventNetwork(
        form, {name: random.normal(0, 0.4, one.shape).astype(np.float32) for name, one in trainer.start.items()}
    )


def test_tensorflow_and_the_compiled_pass_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = draw_columns(records=60, seed=3)
    network = draw_network(columns)
    tokens = network.form.read(columns)
    monkeypatch.setattr(event_training, "_drop", lambda x, *_args, **_named: x)
    run: Any = event_training._Run(network.form, network.weights, 1)
    batch = event_training._gather(tokens, np.arange(60), np.random.default_rng(1), left_out=0)
    np.testing.assert_allclose(network.run(tokens), run.logits(*batch, [1, 0]).numpy(), rtol=2e-4, atol=2e-4)


def test_a_record_has_the_same_logit_alone_and_among_others() -> None:
    columns = draw_columns(records=40, seed=4)
    network = draw_network(columns)
    together = network.logits(columns)
    alone = [network.logits(columns.take(np.array([row])))[0] for row in range(40)]
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-5)
    assert np.std(together) > 0.1


def test_a_network_comes_back_from_its_text_to_the_bit() -> None:
    columns = draw_columns(records=30, seed=5)
    network = replace(draw_network(columns), steps=150)
    again = network_of(network.to_text())
    assert again.steps == 150
    assert np.array_equal(again.logits(columns), network.logits(columns))
    assert again.to_text() == network.to_text()


def test_a_network_that_was_cut_short_is_not_read() -> None:
    text = draw_network(draw_columns(records=30, seed=5)).to_text()
    document = text.replace('"data":"', '"data":"' + "AAAA" * 4)
    with pytest.raises(ValueError, match="numbers in a network of events"):
        network_of(document)


def test_only_the_newest_events_are_tokens_and_older_ones_are_still_seen_in_the_days_since() -> None:
    book = draw_motifs()
    assert isinstance(book.records, EventStore)
    columns = book.records.events["log"]
    whole, few = (TokenForm.fit(replace(MOTIF, most=most), columns).read(columns) for most in (256, 3))
    last = np.concatenate([np.arange(end - 3, end) for end in whole.starts[1:]])
    assert np.array_equal(few.numbers, whole.numbers[last], equal_nan=True)
    assert np.array_equal(few.names, whole.names[last])


def test_no_knot_is_the_value_of_fewer_than_twenty_records() -> None:
    book = draw_motifs()
    assert isinstance(book.records, EventStore)
    columns = book.records.events["log"]
    columns.numbers["amount"][:60] = 1e6  # all of five records
    knots = TokenForm.fit(MOTIF, columns).knots[3]
    assert np.isfinite(knots).all()
    assert not np.isin(knots.astype(np.float32), columns.numbers["amount"].astype(np.float32)).any()
    assert knots.max() < 0.9e6
    few = columns.take(np.arange(19))
    assert not np.isfinite(TokenForm.fit(MOTIF, few).knots[:, 1:]).any()


def test_numbers_that_are_not_finite_make_no_logit_that_is_none() -> None:
    book = draw_motifs()
    assert isinstance(book.records, EventStore)
    columns = book.records.events["log"]
    amounts = columns.numbers["amount"]
    network = draw_network(columns, MOTIF)
    amounts[::3], amounts[1::3], amounts[2::30] = np.inf, -np.inf, 1e300
    assert np.isfinite(network.logits(columns)).all()
    extreme = draw_network(columns, MOTIF)
    assert np.isfinite(extreme.logits(columns)).all()
    trainer = EventTrainer.new(extreme.form, extreme.form.read(columns), 1, lambda: None)
    fitted = trainer.fit(np.arange(200), book.target, 3)
    assert all(np.isfinite(one).all() for one in fitted.weights.values())


def test_days_since_the_last_event_of_a_type_are_those_of_earlier_events() -> None:
    book = draw_motifs()
    assert isinstance(book.records, EventStore)
    columns = book.records.events["log"]
    form = TokenForm.fit(MOTIF, columns)
    tokens, kinds = form.read(columns), columns.names["kind"]
    for record in range(20):
        events = range(columns.starts[record], columns.starts[record + 1])
        for event in events:
            for number, name in enumerate(form.names[0][1][: form.tracked]):
                before = [one for one in events if one < event and kinds.names[kinds.codes[one]] == name]
                found = tokens.numbers[event, 3 + len(form.numbers) + number]
                if before:
                    assert found == pytest.approx(columns.age[before[-1]] - columns.age[event], rel=1e-5, abs=1e-5)
                else:
                    assert np.isnan(found)


def test_order_is_read_where_it_decides_and_no_row_is_told_its_own_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_training, "MOST_STEPS", 250)
    book, rows = draw_motifs(), np.arange(1_000)
    schema = RecordSchema((), (), (MOTIF,))
    read, chosen, tried = choose_event_fields(book, schema, rows)
    assert tried["events"]["order"]["log"]["taken"], tried
    values = read.records.take(np.arange(RECORDS), ("log.order",))["log.order"].to_numpy()
    is_right = (values > 0) == (book.target == 1)
    assert is_right[1_000:].mean() > 0.85  # 0.95 is the most that can be known
    assert abs(is_right[:1_000].mean() - is_right[1_000:].mean()) < 0.06  # rows learnt from look like new ones
    assert "log.order" in chosen.event_fields


def test_a_book_without_order_takes_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_training, "MOST_STEPS", 100)
    book = draw_motifs(seed=2)
    noise = replace(book, target=np.random.default_rng(5).integers(0, 2, RECORDS).astype(np.float64))
    _, chosen, tried = choose_event_fields(noise, RecordSchema((), (), (MOTIF,)), np.arange(RECORDS))
    assert not tried["events"]["order"]["log"]["taken"]
    assert "log.order" not in chosen.event_fields


def test_a_training_that_starts_from_a_network_of_events_gives_rows_values_of_others_that_have_not_seen_them() -> None:
    book, rows = draw_motifs(), np.arange(1_000)
    assert isinstance(book.records, EventStore)
    network = replace(draw_network(book.records.events["log"], MOTIF), steps=3)
    order = Order(Aggregate("log.order", "order", network=network.to_text()), np.zeros(0))
    schema = RecordSchema((), (), (MOTIF,)).with_aggregates(with_orders((MOTIF,), {"log": order}))
    read = read_event_fields(book, schema, rows)
    values = read.records.take(np.arange(RECORDS), ("log.order",))["log.order"].to_numpy()
    own = network.logits(book.records.events["log"])
    assert np.array_equal(values[1_000:], own[1_000:])
    assert not (values[:1_000] == own[:1_000]).any()


def test_with_a_time_limit_no_network_is_tried() -> None:
    schema = RecordSchema((), (), (MOTIF,))
    how = PreparationOptions(0.12, 0.15)
    _, _, tried = with_event_fields(draw_motifs(), schema, how, None, lambda: None, effort="aggregates")
    assert tried["events"]["order"] == {}


def test_pretraining_says_better_what_comes_next_and_keeps_the_rest() -> None:
    book = draw_motifs()
    assert isinstance(book.records, EventStore)
    columns = book.records.events["log"]
    form = TokenForm.fit(MOTIF, columns)
    trainer = EventTrainer.new(form, form.read(columns), 1, lambda: None)
    pretrained = trainer.pretrained(np.arange(RECORDS), steps=20)
    changed = {name for name, one in trainer.start.items() if not np.array_equal(one, pretrained.start[name])}
    assert {"numbers", "names", "attention", "dense"} <= changed
    assert not changed & {"pool", "hidden", "logit"}


def test_the_order_is_a_field_of_its_table_and_its_network_is_in_the_schema() -> None:
    columns = draw_columns(records=30, seed=6)
    network = draw_network(columns)
    order = Order(Aggregate(f"{TABLE.name}.order", "order", network=network.to_text()), np.zeros(30))
    schema = RecordSchema((), (), (TABLE,)).with_aggregates(with_orders((TABLE,), {TABLE.name: order}))
    again = RecordSchema.from_document(schema.to_document())
    assert again == schema
    (one,) = again.events[0].aggregates
    assert np.array_equal(make_aggregates(columns, [one])[one.field].to_numpy(), network.logits(columns))
    assert np.array_equal(predict(network, network.form.read(columns), np.arange(30)), network.logits(columns))
