"""Records that lack a key, a moment or events, and events that lack a record, beside records that lack nothing."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import Engine, insert

from db.connections.engine import reading, writing
from db.portfolios.catalog import get_portfolio
from db.schema.states import JobState
from db.sources.event_loading import EventLoadMode
from db.sources.source_table import reflect_source
from tests.integration.worker.events.conftest import Trained
from tests.integration.worker.events.event_book import (
    BOOK,
    EACH,
    EVENTS,
    RECORDS,
    Event,
    add_events,
    definition,
    fill,
    late_events,
    rejects_of,
    request_of,
    score,
    scores_of,
    start_training,
    worker,
)
from worker.contract.messages import TRAINING_QUEUE
from worker.learning.book_reading import read_labelled
from worker.runtime.context import WorkerContext, claimed_shard
from worker.scoring.model_cache import ModelSlot
from worker.scoring.online_scoring import score_records

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]  # they need a model


def start(engine: Engine, trained: Trained, frame: pd.DataFrame, events: Sequence[Event]) -> WorkerContext:
    fill(engine, frame, events)
    trained.add_model(engine)
    return worker(engine, trained.home)


def expected_scores(context: WorkerContext, trained: Trained, events: Sequence[Event]) -> dict[str, float]:
    """What each record of the book would get online, with these events."""
    scorer = ModelSlot(context.engine, context.settings.bundles_url).scorer(trained.model.version)
    found = score_records(request_of(trained.frame, events), scorer, get_portfolio(context.engine, BOOK))
    return {one["record_key"]: one["probability"] for one in found["scores"]}


def test_a_record_without_events_is_scored_as_one_with_an_empty_list(engine: Engine, trained: Trained) -> None:
    kept = [one for one in trained.events if one["id"] % 10]
    context = start(engine, trained, trained.frame, kept)
    job = score(context)
    assert (job.state, job.scored, job.rejected) == (JobState.DONE, RECORDS, 0)
    assert scores_of(engine, job) == expected_scores(context, trained, kept)


@pytest.mark.parametrize("moment", [None, "", "soon", "2026-13-01"])
def test_a_record_without_a_moment_is_rejected_alone(
    sqlite_engine: Engine, trained: Trained, moment: str | None
) -> None:
    _reject_two_without_a_moment(sqlite_engine, trained, moment)


def test_a_record_without_a_moment_is_rejected_on_a_server_too(engine: Engine, trained: Trained) -> None:
    _reject_two_without_a_moment(engine, trained, None)


def _reject_two_without_a_moment(engine: Engine, trained: Trained, moment: str | None) -> None:
    lacking = trained.frame["id"].isin([7, 300])
    frame = trained.frame.assign(cut_off=trained.frame["cut_off"].mask(lacking, moment))
    context = start(engine, trained, frame, trained.events)
    job = score(context)
    assert (job.state, job.scored, job.rejected) == (JobState.DONE, RECORDS - 2, 2)
    found = rejects_of(engine, job)
    assert sorted(one["record_key"] for one in found) == ["300", "7"]
    assert {(one["field"], one["reason"]) for one in found} == {("cut_off", "no_moment")}
    assert all("expected the time at which the record is judged, such as 2026-" in one["detail"] for one in found)
    expected = expected_scores(context, trained, trained.events)
    assert scores_of(engine, job) == {key: one for key, one in expected.items() if key not in ("7", "300")}


def test_records_without_a_moment_are_left_out_of_the_training_and_counted(engine: Engine, trained: Trained) -> None:
    lacking = trained.frame["id"].isin([7, 300])
    frame = trained.frame.assign(cut_off=trained.frame["cut_off"].mask(lacking, None))
    context = start(engine, trained, frame, trained.events)
    start_training(context)
    with claimed_shard(context, TRAINING_QUEUE, None) as claim:
        assert claim is not None
        read = read_labelled(context, definition(), ("income",), context.heartbeat(claim))
    assert len(read.records) == RECORDS - 2
    assert not {"7", "300"} & set(read.keys)
    assert read.left_out.sentence == "2 records without a moment left out"


def test_of_two_records_with_one_key_the_first_is_scored_with_its_events(engine: Engine, trained: Trained) -> None:
    again = trained.frame[trained.frame["id"] == 7].assign(income=99.0)
    context = start(engine, trained, pd.concat([trained.frame, again], ignore_index=True), trained.events)
    job = score(context)
    assert (job.state, job.scored) == (JobState.DONE, RECORDS)
    assert [(one["record_key"], one["reason"]) for one in rejects_of(engine, job)] == [("7", "duplicate_key")]
    assert scores_of(engine, job) == expected_scores(context, trained, trained.events)


def test_events_of_no_record_change_nothing(engine: Engine, trained: Trained) -> None:
    frame = trained.frame[~trained.frame["id"].isin([1, 150, RECORDS])].reset_index(drop=True)
    context = start(engine, trained, frame, [one for one in trained.events if one["id"] in set(frame["id"])])
    before = score(context)
    strangers = [*trained.events[:EACH], *({**trained.events[0], "id": key} for key in (-5, 150, 10**12))]
    add_events(engine, strangers)
    after = score(context)
    assert before.scored == len(frame)
    assert (after.digest, after.data_fingerprint) == (before.digest, before.data_fingerprint)


def test_a_record_without_a_key_is_rejected_and_has_no_events(engine: Engine, trained: Trained) -> None:
    more = trained.frame.iloc[[0]].assign(id=None)
    context = start(engine, trained, pd.concat([trained.frame, more], ignore_index=True), trained.events)
    before = score(context)
    _insert_without_key(engine, late_events(trained.frame.iloc[:3], microseconds=-1))
    after = score(context)
    for job in (before, after):
        assert (job.state, job.scored) == (JobState.DONE, RECORDS)
        assert [(one["record_key"], one["reason"]) for one in rejects_of(engine, job)] == [(None, "missing_key")]
    assert (after.digest, after.data_fingerprint) == (before.digest, before.data_fingerprint)


def _insert_without_key(engine: Engine, events: Sequence[Event]) -> None:
    with reading(engine) as connection:
        table = reflect_source(connection, definition().events_of(EVENTS))
    is_text = engine.dialect.name == "sqlite"
    rows: list[dict[str, Any]] = [
        {**one, "id": None, "at": one["at"].isoformat(timespec="microseconds") if is_text else one["at"]}
        for one in events
    ]
    with writing(engine) as connection:
        connection.execute(insert(table), rows)


def test_a_book_whose_event_table_is_empty_is_scored(engine: Engine, trained: Trained) -> None:
    context = start(engine, trained, trained.frame, trained.events)
    add_events(engine, [], EventLoadMode.REPLACE)
    job = score(context)
    assert (job.state, job.scored) == (JobState.DONE, RECORDS)
    assert scores_of(engine, job) == expected_scores(context, trained, [])
