"""A night in shadow counts when the challenger scored every record that the champion did."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine

from db.connections.engine import reading, writing
from db.ledger.job_lifecycle import get_job
from db.registry.versions import set_model_state
from db.results.shadow_scores import ShadowResult, find_shadow, list_shadow_jobs, read_shadow_points
from db.results.shard_results import complete_scored_shard
from db.retraining.retraining_state import count_shadow_nights
from db.schema.states import ModelState
from tests.building import add_model, claim, load_book, result_for, start_scoring


@pytest.fixture
def book(engine: Engine) -> Engine:
    """A book with a champion and a waiting challenger."""
    load_book(engine, range(1, 21))
    add_model(engine, "m1")
    add_model(engine, "m2", champion=False)
    with writing(engine) as connection:
        set_model_state(connection, "m2", ModelState.CHALLENGER)
    return engine


@pytest.mark.parametrize(("records", "nights"), [(10, 1), (9, 0)])
def test_a_night_counts_when_every_record_was_scored_in_shadow(book: Engine, records: int, nights: int) -> None:
    job = start_scoring(book)
    for number in (10, records):
        claimed = claim(book)
        shadow = ShadowResult("m2", {"490": number}, number, 0.1)
        complete_scored_shard(book, claimed, replace(result_for(book, claimed), shadow=shadow), worker="w1")
    assert list_shadow_jobs(book, "m2") == [job.id][:nights]
    with reading(book) as connection:
        assert count_shadow_nights(connection, "m2") == nights
    assert read_shadow_points(book, "m2") == {"490": 10 + records}


def test_a_challenger_shadows_the_champion_alone(book: Engine) -> None:
    assert find_shadow(book, start_scoring(book, model_version="m1")) == "m2"
    assert find_shadow(book, get_job(book, start_scoring(book, model_version="m2").id)) is None
