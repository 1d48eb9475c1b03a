"""Small rules of a worker: the gate, digests, heartbeats, settings, what follows an error."""

from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from db.errors import DatabaseUnreachableError, LeaseLostError, SourceError
from db.ledger.digests import STORED_DECIMALS, data_digest, score_digest
from db.schema.states import FailureCause
from transformer.bundles.calibration import PROBABILITY_DECIMALS
from transformer.errors import BundleError, SchemaError, TrainingDataError
from worker.gate.candidate_judgement import Doubts, judge_candidate
from worker.gate.foreknowledge import Suspicion
from worker.runtime.error_table import Action, action_for, cause_of
from worker.runtime.heartbeat import Heartbeat
from worker.runtime.settings import WorkerSettings


def test_the_first_candidate_is_promoted_where_it_is_proven_better_than_chance() -> None:
    assert judge_candidate({"roc_auc": 0.6}, None, least_auc=0.51).promoted


@pytest.mark.parametrize(("roc_auc", "least_auc"), [(0.6, 0.5), (0.46, 0.38), (0.99, 0.2)])
def test_a_first_candidate_that_may_as_well_be_chance_is_refused_with_its_figures(
    roc_auc: float, least_auc: float
) -> None:
    judgement = judge_candidate({"roc_auc": roc_auc}, None, least_auc=least_auc)
    assert (judgement.promoted, judgement.figures["refused_for"]) == (False, "chance")
    assert f"{roc_auc:.4f}" in judgement.reason
    assert f"{least_auc:.4f}" in judgement.reason


def test_a_first_candidate_whose_held_out_records_have_one_outcome_alone_is_refused() -> None:
    judgement = judge_candidate({"brier": 0.1}, None)
    assert (judgement.promoted, judgement.figures["refused_for"]) == (False, "chance")


@pytest.mark.parametrize("champion", [None, {"roc_auc": 0.8}])
def test_a_candidate_with_a_suspicious_column_waits_until_somebody_accepts_it(
    champion: dict[str, float] | None,
) -> None:
    strange = [Suspicion("recovered", "recovered nearly decides the outcome by itself: ROC AUC 1.0000", 1.0)]
    asked: dict[str, Any] = {"least_auc": 0.9}
    refused = judge_candidate({"roc_auc": 1.0}, champion, doubts=Doubts(strange, None), **asked)
    assert (refused.promoted, refused.figures["refused_for"]) == (False, "suspicious")
    assert "recovered nearly decides" in refused.reason
    accepted = judge_candidate({"roc_auc": 1.0}, champion, doubts=Doubts(strange, "ann"), **asked)
    assert accepted.promoted
    assert "ann accepted that recovered nearly decides" in accepted.reason


@pytest.mark.parametrize(("candidate", "promoted"), [(0.80, True), (0.7951, True), (0.7949, False)])
def test_a_candidate_may_lose_less_than_the_noise(candidate: float, promoted: bool) -> None:
    judgement = judge_candidate({"roc_auc": candidate}, {"roc_auc": 0.8})
    assert judgement.promoted is promoted
    assert judgement.figures["champion"] == {"roc_auc": 0.8}


def test_a_held_candidate_is_not_promoted() -> None:
    assert not judge_candidate({"roc_auc": 0.9}, None, held=True).promoted


def test_score_digests_add_up_however_the_records_are_cut() -> None:
    keys, probabilities = ["a", "b", "c"], [0.1, 0.2, 0.3]
    whole = int(score_digest(keys, probabilities, "m1"), 16)
    parts = [score_digest(keys[2:], probabilities[2:], "m1"), score_digest(keys[:2], probabilities[:2], "m1")]
    assert whole == sum(int(part, 16) for part in parts) % 2**256


@pytest.mark.parametrize("other", [(["a"], [0.100001], "m1"), (["b"], [0.1], "m1"), (["a"], [0.1], "m2")])
def test_a_score_digest_changes_with_key_probability_and_model(other: tuple[Any, Any, str]) -> None:
    assert score_digest(["a"], [0.1], "m1") != score_digest(*other)


def test_a_data_digest_does_not_depend_on_the_order_and_changes_with_a_value() -> None:
    frame = pd.DataFrame({"x": [1.0, None, 3.0], "c": ["a", "b", None]})
    changed = frame.assign(x=[1.0, None, 3.5])
    assert data_digest(frame) == data_digest(frame.iloc[::-1])
    assert data_digest(frame) != data_digest(changed)
    assert data_digest(frame.iloc[:0]) == "0" * 64


def test_a_data_digest_adds_up_whether_or_not_the_texts_repeat() -> None:
    frame = pd.DataFrame({"key": pd.Series([f"k{place}" for place in range(200)], dtype="str")})
    frame["name"] = pd.Series(["a", "b", None, "c"] * 50, dtype="str")
    mixed = pd.concat([frame, frame.iloc[:5]])
    parts = (frame.iloc[:90], frame.iloc[90:], frame.iloc[:5], frame.iloc[:0])
    assert int(data_digest(mixed), 16) == sum(int(data_digest(part), 16) for part in parts)
    assert data_digest(frame) == data_digest(frame.astype("object"))


def test_a_heartbeat_renews_only_when_it_is_time(monkeypatch: pytest.MonkeyPatch) -> None:
    renewals: list[float] = []
    looks: list[float] = []
    now = [0.0]
    monkeypatch.setattr("worker.runtime.heartbeat.is_held", lambda *_: looks.append(now[0]) or True)
    monkeypatch.setattr("worker.runtime.heartbeat.renew_lease", lambda *_, **__: renewals.append(now[0]))
    engine: Any = None
    heartbeat = Heartbeat(engine, engine, lease_seconds=60, every_seconds=5, clock=lambda: now[0])
    for now[0] in (0.4, 1.0, 1.4, 4.9, 5.0, 5.4, 6.0, 9.9, 10.0, 30.0):
        heartbeat()
    assert renewals == [5.0, 10.0, 30.0]
    assert looks == [1.0, 4.9, 6.0, 9.9]


def test_a_lease_must_outlive_two_heartbeats() -> None:
    with pytest.raises(ValidationError, match="TIDEMARK_HEARTBEAT_SECONDS"):
        WorkerSettings(lease_seconds=10, heartbeat_seconds=5)


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (LeaseLostError(1, 1), Action.DROP),
        (DatabaseUnreachableError("x", "y"), Action.DROP),
        (BundleError("m1", "damaged"), Action.FAIL_JOB),
        (SourceError("gone"), Action.FAIL_JOB),
        (MemoryError(), Action.RETRY),
    ],
)
def test_what_follows_an_error_stands_in_one_table(error: Exception, action: Action) -> None:
    assert action_for(error) is action


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (BundleError("m1", "damaged"), FailureCause.MODEL_UNREADABLE),
        (SchemaError("x", None), FailureCause.SOURCE_UNREADABLE),
        (TrainingDataError("few", "load more"), FailureCause.TRAINING_DATA),
    ],
)
def test_a_job_fails_under_a_code_that_says_why(error: Exception, cause: FailureCause) -> None:
    assert cause_of(error) is cause


def test_digests_and_scores_have_the_same_precision() -> None:
    assert STORED_DECIMALS == PROBABILITY_DECIMALS
