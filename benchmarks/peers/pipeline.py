"""A whole nightly run as others write it: read a range of keys, score it, write it. Says ready, waits for a line, runs.

    python -m benchmarks.peers.pipeline naive|lightgbm|copy ADDRESS TABLE KEY FIRST LAST COLUMN... [-- MODELS VERSION]

naive     read_sql, Keras `predict` (batch 4096, all cores), to_sql: one process
lightgbm  ADBC, 500 trees, COPY          } one process a core, each its own range of keys;
copy      ADBC, a constant, COPY         } the table has the primary key of Tidemark's scores
None of them keeps an account of anything, or survives its death.
"""

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

CHUNK = 50_000
Scorer = Callable[[pd.DataFrame], Any]


def main() -> None:
    kind, address, table, key, first, last, *columns = sys.argv[1:]
    models: list[str] = []
    if "--" in columns:
        models = columns[columns.index("--") + 1 :]
        columns = columns[: columns.index("--")]
    names = ", ".join(f'"{name}"' for name in (key, *columns))
    query = f'SELECT {names} FROM "{table}" WHERE "{key}" > %s AND "{key}" <= %s'  # noqa: S608 - our own names
    span = (int(first), int(last))
    run = run_naive if kind == "naive" else run_fast
    make: dict[str, Any] = {"naive": make_keras, "lightgbm": make_lightgbm, "copy": lambda *_: score_constant}
    score = make[kind](address, table, columns, models)
    print("ready", flush=True)
    sys.stdin.readline()
    run(address, query, span, key, score)


def run_naive(address: str, query: str, span: tuple[int, int], key: str, score: Scorer) -> None:
    from sqlalchemy import create_engine  # noqa: PLC0415

    engine = create_engine(address.replace("postgresql://", "postgresql+psycopg://"))
    frame = pd.read_sql(query % span, engine)
    probability = score(frame)
    written = pd.DataFrame({"record_key": frame[key].astype(str), "probability": probability})
    written["points"] = np.rint(600 + 20 * np.log2((1 - probability) / probability / 50)).astype(int)
    written.to_sql("naive_scores", engine, if_exists="append", index=False)


def run_fast(address: str, query: str, span: tuple[int, int], key: str, score: Scorer) -> None:
    import psycopg  # noqa: PLC0415
    from adbc_driver_postgresql import dbapi  # noqa: PLC0415

    with (
        dbapi.connect(address, autocommit=True) as source,
        psycopg.connect(address) as target,
        source.cursor() as cursor,
    ):
        for first in range(span[0], span[1], CHUNK):
            cursor.execute(query % (first, min(first + CHUNK, span[1])))
            frame = cursor.fetch_arrow_table().to_pandas()
            probability = score(frame)
            write_scores(target, frame[key].astype(str), probability)


def write_scores(target: Any, keys: Any, probability: Any) -> None:
    """Write a chunk of scores by COPY and commit it."""
    from pyarrow import csv, table  # noqa: PLC0415

    points = np.rint(600 + 20 * np.log2((1 - probability) / probability / 50)).astype(np.int32)
    text = io.BytesIO()
    rows = table({"k": keys, "p": probability, "s": points, "b": np.full(len(keys), "A")})
    csv.write_csv(rows, text, csv.WriteOptions(include_header=False))
    with target.cursor().copy("COPY fast_scores FROM STDIN (FORMAT csv)") as copy:
        copy.write(text.getbuffer())
    target.commit()


def score_constant(frame: pd.DataFrame) -> Any:
    return np.full(len(frame), 0.25)


def make_lightgbm(address: str, table: str, columns: list[str], models: list[str]) -> Scorer:
    import lightgbm  # noqa: PLC0415 - a peer that need not be there

    from benchmarks.peers.scoring import as_numbers  # noqa: PLC0415

    path = Path(models[0]) / "lightgbm.txt"
    if path.exists():
        booster = lightgbm.Booster(model_file=str(path))
    else:
        booster = train_lightgbm(address, table, columns)
        booster.save_model(f"{path}.{os.getpid()}")
        Path(f"{path}.{os.getpid()}").replace(path)  # two processes train it at once the first time
    return lambda frame: np.clip(booster.predict(as_numbers(frame[columns]), num_threads=1), 1e-6, 1 - 1e-6)


def train_lightgbm(address: str, table: str, columns: list[str]) -> Any:
    import lightgbm  # noqa: PLC0415
    import psycopg  # noqa: PLC0415

    from benchmarks.peers.scoring import as_numbers  # noqa: PLC0415

    names = ", ".join(f'"{name}"' for name in columns)
    with psycopg.connect(address) as connection:
        rows = connection.execute(f'SELECT {names} FROM "{table}" LIMIT 20000').fetchall()  # noqa: S608
    frame = pd.DataFrame(rows, columns=columns)
    target = np.random.default_rng(0).random(len(frame)) < 0.2
    settings = {"objective": "binary", "num_leaves": 31, "learning_rate": 0.03, "verbose": -1, "num_threads": 1}
    return lightgbm.train(settings, lightgbm.Dataset(as_numbers(frame), label=target), num_boost_round=500)


def make_keras(_address: str, _table: str, columns: list[str], models: list[str]) -> Scorer:
    from transformer.bundles.bundle import load_bundle  # noqa: PLC0415
    from transformer.records.column_reading import read_columns  # noqa: PLC0415

    model = load_bundle(*models)

    def score(frame: pd.DataFrame) -> Any:
        inputs = model.transform.transform(read_columns(frame[columns], model.schema)[0])
        logits = model.network.predict(inputs, batch_size=4096, verbose=0).mean(axis=1)
        return model.calibration.probabilities(logits.astype(np.float64))

    return score


if __name__ == "__main__":
    main()
