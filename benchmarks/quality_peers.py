"""The models that the network is compared with: trees and deep models where installed, and a scorecard."""

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from benchmarks.site import peers_python
from transformer.records.schema import RecordSchema

MOST_TREES, PATIENCE, RATE = 2000, 100, 0.03

Floats = NDArray[np.float64]
Fit = Callable[..., Floats]  # from data, schema and (optionally) the rows whose outcome is known to probabilities


def peers() -> Iterator[tuple[str, Fit]]:
    """Give the peers that are installed."""
    common = {"learning_rate": RATE, "random_state": 1, "n_jobs": 1}
    with suppress(ImportError):
        lightgbm = import_module("lightgbm")
        more = {"num_leaves": 15, "subsample": 0.8, "subsample_freq": 1, "colsample_bytree": 0.6, "reg_lambda": 5}
        kind = lightgbm.LGBMClassifier
        stop = {"callbacks": [lightgbm.early_stopping(PATIENCE, verbose=False)]}
        yield "LightGBM", _trees(lambda n: kind(n_estimators=n, verbose=-1, **common, **more), "best_iteration_", stop)
    with suppress(ImportError):
        kind_x = import_module("xgboost").XGBClassifier
        more = {"max_depth": 4, "subsample": 0.8, "colsample_bytree": 0.6, "reg_lambda": 5, "enable_categorical": True}

        def make(n: int) -> Any:
            stopping = {"early_stopping_rounds": PATIENCE} if n == MOST_TREES else {}
            return kind_x(n_estimators=n, **common, **more, **stopping)

        yield "XGBoost", _trees(make, "best_iteration", {"verbose": False})
    with suppress(ImportError):
        kind_c = import_module("catboost").CatBoostClassifier
        quiet = {"verbose": 0, "thread_count": 1, "allow_writing_files": False, "random_seed": 1}
        stop = {"early_stopping_rounds": PATIENCE}
        yield "CatBoost", _trees(lambda n: kind_c(iterations=n, learning_rate=RATE, **quiet), "best_iteration_", stop)
    yield "scorecard", fit_scorecard


def deep_peers() -> Iterator[tuple[str, Fit]]:
    """Give the deep models for tables whose packages the peers' interpreter has."""
    command = [peers_python(), "-c", "import tabm, rtdl_revisiting_models"]
    found = subprocess.run(command, check=False, capture_output=True)  # noqa: S603 - our own interpreter
    if found.returncode == 0:
        yield "FT-Transformer", _deep("ft_transformer")
        yield "TabM", _deep("tabm")


def _deep(kind: str) -> Fit:
    def fit(data: pd.DataFrame, schema: RecordSchema) -> Floats:
        features = _encode(data, schema)
        names = [column for column in features if features[column].dtype == "category"]
        part = data["split"].map({"train": 0, "valid": 1, "test": 2}).to_numpy(np.int64)
        with tempfile.TemporaryDirectory() as folder:
            rows, answer = Path(folder) / "rows.npz", Path(folder) / "answer.npy"
            np.savez(
                rows,
                numbers=features.drop(columns=names).to_numpy(np.float64),
                names=np.array([features[name].cat.codes for name in names], dtype=np.int64)
                .reshape(len(names), len(features))
                .T,
                target=data["target"].to_numpy(np.float64),
                part=part,
            )
            command = [peers_python(), "-m", "benchmarks.peers.deep_tabular", kind, str(rows), str(answer)]
            subprocess.run(command, check=True)  # noqa: S603
            return np.load(answer)

    return fit


def _trees(make: Callable[[int], Any], best: str, stop: dict[str, Any]) -> Fit:
    def fit(data: pd.DataFrame, schema: RecordSchema, known: NDArray[np.int64] | None = None) -> Floats:
        features, outcome = _encode(data, schema), data["target"].to_numpy()
        split = data["split"].to_numpy()
        names = [column for column in features if features[column].dtype == "category"]
        if best == "best_iteration_" and "early_stopping_rounds" in stop:  # CatBoost takes names as text
            features = features.assign(**{name: features[name].astype(str) for name in names})
            more: dict[str, Any] = {"cat_features": names}
        else:
            more = {}
        learn, both = np.flatnonzero(split == "train"), np.flatnonzero(split != "test")
        if known is not None:
            model = make(300).fit(features.iloc[known], outcome[known], **more)
            return model.predict_proba(features[split == "test"])[:, 1]
        valid = np.flatnonzero(split == "valid")
        looked_at = [(features.iloc[valid], outcome[valid])]
        model = make(MOST_TREES).fit(features.iloc[learn], outcome[learn], eval_set=looked_at, **stop, **more)
        trees = min(MOST_TREES - 1, max(10, int(getattr(model, best)) + 1))
        again = make(trees).fit(features.iloc[both], outcome[both], **more)
        return again.predict_proba(features[split == "test"])[:, 1]

    return fit


def fit_scorecard(data: pd.DataFrame, schema: RecordSchema, known: NDArray[np.int64] | None = None) -> Floats:
    """Ten bins a number by quantile, weights of evidence, logistic regression."""
    features, outcome = _encode(data, schema), data["target"].to_numpy(np.float64)
    is_test = (data["split"] == "test").to_numpy()
    learn = np.flatnonzero(~is_test) if known is None else known
    bad = outcome[learn].mean()
    columns: list[Floats] = []
    for name in features:
        if features[name].dtype == "category":
            groups = features[name].astype(str).to_numpy()
        else:
            values = features[name].to_numpy(np.float64)
            cuts = np.unique(np.nanquantile(values[learn], np.linspace(0, 1, 11)[1:-1]))
            groups = np.where(np.isnan(values), -1, np.searchsorted(cuts, values, side="right")).astype(str)
        counts = pd.Series(outcome[learn]).groupby(groups[learn]).agg(["sum", "count"])
        bads = (counts["sum"] + 5 * bad) / (outcome[learn].sum() + 5)
        goods = (counts["count"] - counts["sum"] + 5 * (1 - bad)) / ((1 - outcome[learn]).sum() + 5)
        columns.append(pd.Series(groups).map(np.log(bads / goods)).fillna(0.0).to_numpy(np.float64))
    evidence = np.stack(columns, axis=1)
    model = LogisticRegression(max_iter=1000).fit(evidence[learn], outcome[learn])
    return model.predict_proba(evidence[is_test])[:, 1]


def _encode(data: pd.DataFrame, schema: RecordSchema) -> pd.DataFrame:
    """Numbers as floats, names as categories; the peers see special codes as the numbers they are."""
    encoded: dict[str, Any] = {}
    for number, (name, (kind, _)) in enumerate(schema.readings.items()):
        column = data[name]
        if kind == "numeric":
            encoded[f"c{number}"] = column.astype("float64")
        else:
            encoded[f"c{number}"] = column.astype(str).fillna("missing").astype("category")
    return pd.DataFrame(encoded)
