"""Scoring a book through queue workers, beside the script that people write first: read_sql, predict, to_sql.

    python -m benchmarks.scoring_speed [CUSTOMERS] [RUNS]

Both read the same records from the same SQLite database, use the same trained network, and write key, probability and
points of every record. The script keeps no ledger, no rejects, no histogram, no digest, and does not survive its death.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import pandas as pd
from sqlalchemy import create_engine

from benchmarks.report import write_report

SCRIPT = "--script"


def main() -> None:
    if SCRIPT in sys.argv:
        run_script(Path(sys.argv[-2]), sys.argv[-1])
        return
    customers = sys.argv[1] if len(sys.argv) > 1 else "200000"
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"TIDEMARK_HOME": folder, "TF_CPP_MIN_LOG_LEVEL": "3"}
        demo = tidemark(environment, "demo", "--customers", customers)
        rows = []
        for _ in range(runs):  # one after the other, so that a noisy machine is noisy for both
            scored = tidemark(environment, "score", "simulated_book")
            script = subprocess.run(  # noqa: S603 - our own command
                [sys.executable, "-m", "benchmarks.scoring_speed", SCRIPT, folder, demo["model_version"]],
                env=environment, stdout=subprocess.PIPE, check=True,
            )  # fmt: skip
            rows.append({"tidemark_seconds": scored["seconds"], "script_seconds": json.loads(script.stdout)["seconds"]})
            print(rows[-1], flush=True)
    ratio = median(row["script_seconds"] / row["tidemark_seconds"] for row in rows)
    tidemark_seconds = median(row["tidemark_seconds"] for row in rows)
    results: dict[str, Any] = {
        "customers": int(customers),
        "runs": rows,
        "records_per_second": round(int(customers) / tidemark_seconds),
        "times_as_fast_as_the_script": round(ratio, 2),
        "demo": {name: demo[name] for name in ("roc_auc", "best_possible_roc_auc", "training_seconds", "seconds")},
    }
    print(results)
    print(write_report("scoring_speed", results))


def tidemark(environment: dict[str, str], *arguments: str) -> dict[str, Any]:
    """Run a command and return its JSON."""
    command = [sys.executable, "-m", "scheduler.cli.main", *arguments, "--json"]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)  # noqa: S603
    return json.loads(done.stdout)


def run_script(folder: Path, version: str) -> None:
    """What a person writes who needs scores in a table tonight. The model is loaded before the clock starts."""
    from transformer.bundles.bundle import load_bundle  # noqa: PLC0415 - TensorFlow only here
    from transformer.records.column_reading import read_columns  # noqa: PLC0415
    from transformer.scoring.points import ScoreScale  # noqa: PLC0415

    model = load_bundle(str(folder / "models"), version)
    engine = create_engine(f"sqlite:///{folder / 'tidemark.db'}")
    begun = perf_counter()
    frame = pd.read_sql("SELECT * FROM simulated_book", engine)
    arrays, _problems = read_columns(frame, model.schema)
    logits = model.network.predict(model.transform.transform(arrays), batch_size=1024, verbose=0).mean(axis=1)
    probability = model.calibration.probabilities(logits.astype("float64"))
    scores = pd.DataFrame({"record_key": frame["customer_id"].astype(str), "probability": probability})
    scores["points"] = ScoreScale().points_of(probability)
    scores.to_sql("script_scores", engine, if_exists="replace", index=False)
    print(json.dumps({"seconds": round(perf_counter() - begun, 3)}))


if __name__ == "__main__":
    main()
