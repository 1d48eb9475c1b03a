"""What outcomes say of names: never a record's own outcome, never its entity's, never few records' names."""

import numpy as np
from sklearn.metrics import roc_auc_score

from transformer.records.learning_folds import LearningFolds
from transformer.records.name_statistics import PRIOR, Outcomes, log_odds, odds_by_fold
from transformer.records.splitting import Labelled

ROWS = 3000


def outcomes(target: np.ndarray, entity: np.ndarray | None = None) -> Outcomes:
    keys = np.array([f"k{row}" for row in range(len(target))], dtype=object)
    folds = LearningFolds.deal(Labelled(np.arange(len(target)), target, keys, None, entity))
    return Outcomes(target, np.ones(len(target)), folds)


def test_the_log_odds_are_drawn_towards_the_mean() -> None:
    ids = np.repeat([0, 1], [2900, 100]).astype(np.int32)
    target = np.zeros(ROWS)
    target[:290] = 1
    target[2900:2950] = 1
    found = log_odds(ids, 3, outcomes(target))
    mean = 340 / ROWS
    share = (50 + PRIOR * mean) / (100 + PRIOR)
    np.testing.assert_allclose(found[1], np.log(share / (1 - share)))
    np.testing.assert_allclose(found[2], np.log(mean / (1 - mean)))  # nobody has it


def test_names_of_few_records_say_nothing() -> None:
    ids = np.where(np.arange(ROWS) < 19, 1, 0).astype(np.int32)
    target = (ids == 1).astype(np.float64)
    target[1000:1100] = 1
    mean = target.mean()
    np.testing.assert_allclose(log_odds(ids, 2, outcomes(target))[1], np.log(mean / (1 - mean)))


def test_a_record_does_not_find_its_own_outcome() -> None:
    """Names without meaning: in-sample they order the outcomes, out of fold they do not."""
    random = np.random.default_rng(1)
    ids = random.integers(0, 100, ROWS).astype(np.int32)  # 30 records a name
    target = (random.random(ROWS) < 0.3).astype(np.float64)
    known = outcomes(target)
    assert roc_auc_score(target, log_odds(ids, 100, known)[ids]) > 0.6
    assert roc_auc_score(target, odds_by_fold(ids, 100, known)) < 0.53


def test_a_leak_through_an_entity_is_closed() -> None:
    """Every entity has a name and an outcome of its own: what is known of one says nothing of the others."""
    each, entities = 30, ROWS // 30
    ids = np.repeat(np.arange(entities), each).astype(np.int32)
    target = np.repeat(np.random.default_rng(2).integers(0, 2, entities), each).astype(np.float64)
    assert roc_auc_score(target, odds_by_fold(ids, entities, outcomes(target))) > 0.95  # planted: dealt by the key
    entity = np.array([f"e{one}" for one in ids], dtype=object)
    closed = odds_by_fold(ids, entities, outcomes(target, entity))
    assert np.ptp(closed) == 0.0
