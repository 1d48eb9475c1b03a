"""How well the network orders credit_cards, beside a boosted forest and a linear model, on the same rows.

    python -m benchmarks.credit_cards_quality PATH_TO/credit_cards/data.parquet [SPLITS]

LightGBM, CatBoost and XGBoost take part where they are installed (`pip install lightgbm catboost xgboost`;
Tidemark does not need them). The set's own split comes first, then SPLITS (default 3) drawn at random, 20 % for the
test, stratified. Every model learns from the same labelled rows; none sees the test rows' outcomes.
"""

import sys
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer

from benchmarks.report import write_report
from transformer.schema import Field, History, RecordSchema
from transformer.scoring import Scorer
from transformer.training import Book, train_model

PORTFOLIO = Path(__file__).parent.parent / "examples" / "portfolios" / "credit_cards.toml"


def main() -> None:
    data = pd.read_parquet(sys.argv[1])
    splits = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    schema = read_schema()
    tests = {"the set's own split": (data["split"] == "test").to_numpy()}
    for seed in range(1, splits + 1):
        _, test = train_test_split(np.arange(len(data)), test_size=0.2, random_state=seed, stratify=data["target"])
        tests[f"random split {seed}"] = np.isin(np.arange(len(data)), test)
    results = []
    for name, is_test in tests.items():
        row = {"split": name, "test_rows": int(is_test.sum())} | measure(data, schema, is_test)
        results.append(row)
        print(row, flush=True)
    print(write_report("credit_cards_quality", results))


def measure(data: pd.DataFrame, schema: RecordSchema, is_test: NDArray[np.bool_]) -> dict[str, float]:
    """Return the test ROC AUC of each model."""
    outcome = data["target"].to_numpy(np.float64)
    features = data[list(schema.columns)].to_numpy(np.float64)
    forest = HistGradientBoostingClassifier(
        learning_rate=0.05, max_iter=400, max_leaf_nodes=15, l2_regularization=1.0, early_stopping=True, random_state=1
    )
    linear = make_pipeline(QuantileTransformer(n_quantiles=100), LogisticRegression(max_iter=2000))
    scored: dict[str, Any] = {"network": score_with_network(data, schema, is_test)}
    for name, model in [("boosted forest", forest), *peers(), ("linear model", linear)]:
        model.fit(features[~is_test], outcome[~is_test])
        scored[name] = model.predict_proba(features[is_test])[:, 1]
    return {name: round(float(roc_auc_score(outcome[is_test], values)), 4) for name, values in scored.items()}


def peers() -> Iterator[tuple[str, Any]]:
    """Give the peers that are installed, moderately tuned, each with a number of trees that early stopping chose."""
    common = {"learning_rate": 0.03, "subsample": 0.8, "random_state": 1, "n_jobs": 1}
    with suppress(ImportError):
        lightgbm = import_module("lightgbm").LGBMClassifier
        more = {"num_leaves": 15, "subsample_freq": 1, "colsample_bytree": 0.6, "min_child_samples": 50, "verbose": -1}
        yield "LightGBM", lightgbm(n_estimators=150, reg_lambda=5, **common, **more)
    with suppress(ImportError):
        xgboost = import_module("xgboost").XGBClassifier
        yield "XGBoost", xgboost(n_estimators=200, max_depth=4, reg_lambda=5, colsample_bytree=0.6, **common)
    with suppress(ImportError):
        catboost = import_module("catboost").CatBoostClassifier
        quiet = {"verbose": 0, "thread_count": 1, "allow_writing_files": False}
        yield "CatBoost", catboost(iterations=300, learning_rate=0.03, depth=6, l2_leaf_reg=5, random_seed=1, **quiet)


def score_with_network(data: pd.DataFrame, schema: RecordSchema, is_test: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Train with the defaults on the other rows and return the test rows' probabilities."""
    known = np.where(is_test, np.nan, data["target"].to_numpy(np.float64))
    keys = data["record_id"].astype(str).to_numpy(dtype=object)
    model = train_model(Book(data, known, keys), schema)
    return Scorer(model, "benchmark").score(data[is_test]).probabilities


def read_schema() -> RecordSchema:
    """The columns as the example portfolio names them."""
    document = tomllib.loads(PORTFOLIO.read_text())
    fields = tuple(
        Field(name, one["kind"], tuple(one.get("missing_codes", ()))) for name, one in document["fields"].items()
    )
    histories = tuple(
        History(name, one["kind"], tuple(one["columns"]), tuple(one.get("missing_codes", ())))
        for name, one in document["history"].items()
    )
    return RecordSchema(fields, histories)


if __name__ == "__main__":
    main()
