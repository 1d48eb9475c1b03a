"""A nightly run as Ray Data users write it: key ranges read by ADBC, an FT-Transformer under torch.compile, COPY.

    python -m benchmarks.peers.ray_data ADDRESS TABLE KEY RECORDS BATCH COLUMN...

Prints the seconds of one whole run, counted from when all scoring actors are ready and compiled; reading begins then.
Every process has imported what it needs before: a worker process of Ray that starts in the middle costs seconds.
"""

import io
import os
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from tests.waiting import wait_for

ACTORS, CHUNK = 2, 20_000
# Ray counts in CPUs how many processes it keeps: with these numbers two actors and two tasks at a time. With the same
# number for both it would read in the actors, one after the other.
ACTOR_CPUS, TASK_CPUS = 2, 1
CPUS = ACTORS * (ACTOR_CPUS + TASK_CPUS)
START_SECONDS = 300


def main() -> None:
    import ray  # noqa: PLC0415 - a peer that need not be there

    address, table, key, records, batch, *columns = sys.argv[1:]
    ray.init(num_cpus=CPUS, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    warm_up = ray.remote(num_cpus=1)(load_libraries)
    ray.get([warm_up.remote() for _ in range(CPUS)])
    ray.data.DataContext.get_current().enable_progress_bars = False
    where = {"address": address, "table": table, "key": key}
    with tempfile.TemporaryDirectory() as barrier:
        print(run(Path(barrier), **where, records=int(records), batch=int(batch), columns=columns), flush=True)


def run(  # noqa: PLR0913 - what the command line gives
    barrier: Path, *, address: str, table: str, key: str, records: int, batch: int, columns: list[str]
) -> float:
    """Read, score and write the whole book once; return the seconds."""
    import ray  # noqa: PLC0415

    names = ", ".join(f'"{name}"' for name in (key, *columns))
    spans = [{"first": first, "last": min(first + CHUNK, records)} for first in range(0, records, CHUNK)]
    query = f'SELECT {names} FROM "{table}" WHERE "{key}" > %d AND "{key}" <= %d'  # noqa: S608 - our own names
    read = ray.data.from_items(spans, override_num_blocks=len(spans)).map_batches(
        read_span,
        batch_size=1,
        batch_format="pandas",
        fn_kwargs={"address": address, "query": query, "barrier": barrier},
        num_cpus=TASK_CPUS,
    )
    scored = read.map_batches(
        Scorer,
        fn_constructor_kwargs={"key": key, "columns": columns, "rows": batch, "barrier": barrier},
        batch_size=CHUNK,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=ACTORS),
        num_cpus=ACTOR_CPUS,
    )
    written = scored.map_batches(
        write, batch_format="pyarrow", batch_size=None, fn_kwargs={"address": address}, num_cpus=TASK_CPUS
    )
    result = written.to_pandas()
    if int(result["rows"].sum()) != records:
        raise SystemExit(f"Ray wrote {result['rows'].sum()} of {records} records")
    # Of all actors: one that was given no records has been waited for as well.
    return float(result["ended"].max() - max(one.stat().st_mtime for one in barrier.iterdir()))


def load_libraries() -> None:
    """Import in this process what reading and writing tasks need."""
    for name in ("ray.data", "pandas", "psycopg", "pyarrow.csv", "adbc_driver_postgresql.dbapi"):
        import_module(name)


def read_span(spans: pd.DataFrame, address: str, query: str, barrier: Path) -> Any:
    from adbc_driver_postgresql import dbapi  # noqa: PLC0415

    wait_for(lambda: len(list(barrier.iterdir())) >= ACTORS, START_SECONDS, "the scoring actors to be ready")
    with dbapi.connect(address) as source, source.cursor() as cursor:
        cursor.execute(query % (int(spans["first"].iloc[0]), int(spans["last"].iloc[0])))
        return cursor.fetch_arrow_table()


class Scorer:
    """One process: the network compiled once, for batches of one size."""

    def __init__(self, key: str, columns: list[str], rows: int, barrier: Path) -> None:
        import torch  # noqa: PLC0415

        from benchmarks.peers.ft_transformer import FTTransformer  # noqa: PLC0415

        torch.set_num_threads(1)
        self._key, self._columns, self._rows = key, columns, rows
        self._network = torch.compile(FTTransformer(len(columns)).eval())
        with torch.inference_mode():
            self._network(torch.zeros(rows, len(columns)))
        (barrier / str(os.getpid())).touch()

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return keys, probabilities, points and bands of a table of records."""
        import torch  # noqa: PLC0415

        from benchmarks.peers.scoring import as_numbers  # noqa: PLC0415

        frame = table.to_pandas()
        values = np.nan_to_num(as_numbers(frame[self._columns])).astype(np.float32)
        held = np.zeros((-(-len(values) // self._rows) * self._rows, values.shape[1]), np.float32)
        held[: len(values)] = values
        parts: list[Any] = []
        with torch.inference_mode():
            for first in range(0, len(held), self._rows):
                logits = self._network(torch.from_numpy(held[first : first + self._rows]))
                parts += [torch.sigmoid(logits).numpy()]
        probability = np.clip(np.concatenate(parts)[: len(frame)].astype(np.float64), 1e-6, 1 - 1e-6)
        points = np.rint(600 + 20 * np.log2((1 - probability) / probability / 50)).astype(np.int32)
        return pa.table(
            {
                "k": frame[self._key].astype(str),
                "p": probability,
                "s": points,
                "b": np.full(len(frame), "A"),
            }
        )


def write(table: pa.Table, address: str) -> pa.Table:
    import psycopg  # noqa: PLC0415
    from pyarrow import csv  # noqa: PLC0415

    text = io.BytesIO()
    csv.write_csv(table, text, csv.WriteOptions(include_header=False))
    with psycopg.connect(address) as target:
        with target.cursor().copy("COPY fast_scores FROM STDIN (FORMAT csv)") as copy:
            copy.write(text.getbuffer())
        target.commit()
    return pa.table({"rows": [table.num_rows], "ended": [time.time()]})


if __name__ == "__main__":
    main()
