"""The champion changes by compare-and-set, whoever asks; every change is a decision; the one before is a step away."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine

from db.connections.engine import reading, writing
from db.errors import StateConflictError
from db.events.event_log import list_portfolio_events
from db.ledger.job_lifecycle import list_jobs
from db.portfolios.retraining_policy import AffectedNights, RetrainingPolicy
from db.privacy.installation_secrets import HELD_OUT, get_or_make_secret
from db.registry.champions import Champion, Decision, decide, get_champion, get_decision, list_decisions
from db.registry.replacement import find_replacement, replace_version
from db.registry.versions import get_model
from db.results.shard_results import complete_scored_shard
from db.retraining.promotion import find_previous_champion, hold, is_held, promote_version, roll_back
from db.schema.states import JobKind, ModelState
from tests.building import BOOK, add_model, claim, load_book, result_for, start_scoring


@pytest.fixture
def book(engine: Engine) -> Engine:
    """A portfolio whose champion m1 gave its place to m2, which scored a night."""
    return build(engine)


def build(engine: Engine, **changes: object) -> Engine:
    load_book(engine, [1, 2, 3], **changes)
    add_model(engine, "m1")
    add_model(engine, "m2", champion=False)
    promote_version(engine, "m2", who="ann", why="better")
    return engine


def score_a_night(engine: Engine) -> int:
    job = start_scoring(engine, model_version="m2")
    claimed = claim(engine)
    complete_scored_shard(engine, claimed, result_for(engine, claimed), worker="w1")
    return job.id


def champion_of(engine: Engine) -> str:
    champion = get_champion(engine, BOOK)
    assert champion is not None
    return champion.version


def test_a_person_promotes_and_the_decision_says_who_and_why(book: Engine) -> None:
    decision = list_decisions(book, BOOK)[0]
    result = (decision.action, decision.decided_by, decision.reason, decision.version, decision.against_version)
    assert result == ("promote", "ann", "better", "m2", "m1")
    assert decision.id is not None
    assert get_decision(book, decision.id) == decision
    with pytest.raises(StateConflictError, match="already"):
        promote_version(book, "m2", who="ann", why="")


def test_a_rollback_puts_the_one_before_back_and_names_the_nights(book: Engine) -> None:
    night = score_a_night(book)
    change = roll_back(book, BOOK, who="ann", why="worse")
    assert (change.version, change.before, change.nights, change.job_id) == ("m1", "m2", (night,), None)
    assert champion_of(book) == "m1"
    assert get_model(book, "m2").state is ModelState.RETIRED
    assert list_decisions(book, BOOK)[0].action == "rollback"


def test_a_rollback_is_not_rolled_back(book: Engine) -> None:
    roll_back(book, BOOK, who="ann", why="")
    with pytest.raises(StateConflictError, match="tidemark model promote"):
        roll_back(book, BOOK, who="ann", why="")
    assert champion_of(book) == "m1"


def test_a_first_champion_has_none_before_it(engine: Engine) -> None:
    load_book(engine, [1])
    add_model(engine, "m1")
    with reading(engine) as connection:
        assert find_previous_champion(connection, BOOK, "m1") is None


def test_the_nights_may_be_scored_again_with_the_one_put_back(engine: Engine) -> None:
    policy = RetrainingPolicy(affected_nights=AffectedNights.RESCORE)
    build(engine, retraining=policy)
    score_a_night(engine)
    change = roll_back(engine, BOOK, who="ann", why="")
    assert change.job_id is not None
    newest = list_jobs(engine, kind=JobKind.SCORING)[0]
    assert (newest.id, newest.model_version) == (change.job_id, "m1")


def test_a_hold_is_kept_with_its_reason_and_holding_twice_changes_nothing(book: Engine) -> None:
    assert hold(book, BOOK, held=True, who="ann", why="audit")
    assert not hold(book, BOOK, held=True, who="ann", why="audit")
    assert is_held(book, BOOK)
    newest = list_decisions(book, BOOK)[0]
    assert (newest.action, newest.reason) == ("hold", "audit")
    assert hold(book, BOOK, held=False, who="ann", why="")
    assert not is_held(book, BOOK)


def test_a_suspicious_version_is_promoted_by_hand_only_by_who_accepts_it(book: Engine) -> None:
    add_model(book, "m3", champion=False)
    strange = {"suspicious": [{"column": "recovered", "told": "recovered nearly decides the outcome by itself"}]}
    refused = Decision(BOOK, "m3", "m2", promoted=False, reason="r", figures=strange, decided_by="gate", job_id=None)
    with writing(book) as connection:
        decide(connection, refused, champion_before=get_champion(book, BOOK))
    with pytest.raises(StateConflictError, match=r"recovered nearly decides.*--accept-suspicious"):
        promote_version(book, "m3", who="ann", why="")
    assert champion_of(book) == "m2"
    promote_version(book, "m3", who="ann", why="known before", accept_suspicious=True)
    assert champion_of(book) == "m3"
    events_found = [one.why or "" for one in list_portfolio_events(book, BOOK) if one.event == "model.promoted"]
    assert "known before; ann accepted that recovered nearly decides the outcome by itself" in events_found


def test_a_scrubbed_champion_keeps_its_state_its_nights_and_who_was_before(book: Engine) -> None:
    night = score_a_night(book)
    since = get_champion(book, BOOK)
    with writing(book) as connection:
        replace_version(connection, "m2", "m9", who="ann", job_id=night)
    champion = get_champion(book, BOOK)
    assert (champion, since) == (Champion("m9", 3), Champion("m2", 2))
    states = [(get_model(book, one).state, get_model(book, one).kept_as) for one in ("m2", "m9")]
    assert states == [(ModelState.RETIRED, "m9"), (ModelState.CHAMPION, "m9")]
    assert find_replacement(book, "m2") == "m9"
    with pytest.raises(StateConflictError, match="replaced"), writing(book) as connection:
        replace_version(connection, "m2", "m8", who="ann", job_id=night)
    change = roll_back(book, BOOK, who="ann", why="worse")
    assert (change.version, change.before, change.nights) == ("m1", "m9", (night,))


def test_a_secret_of_the_installation_is_made_once_and_everybody_gets_the_same(engine: Engine) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _number: get_or_make_secret(engine, HELD_OUT), range(8)))
    assert len(found) == 1
    assert len(found.pop()) == 64
