"""From PostgreSQL to PostgreSQL: a scoring job with 2 warm workers, beside what others write. All runs in turn.

Tidemark's seconds run from the first claim of a shard to the closed job, with ledger, digests, rejects and histograms;
those of the others from a common start, with everything loaded, to their last commit.
"""

import sys
from collections.abc import Callable
from typing import Any

from sqlalchemy import text

from benchmarks.running import run_together, running_system, tidemark
from benchmarks.site import Site
from benchmarks.timing import rates, ratio
from db.engine import writing

PROCESSES = 2


def measure(site: Site) -> dict[str, Any]:
    version = site.version
    told: dict[str, Any] = {}
    seconds: dict[str, list[float]] = {"tidemark": []}
    acts = _peers(site, version)
    with running_system(site, workers=PROCESSES):
        for _ in range(site.runs):
            seconds["tidemark"].append(tidemark(site, "score", site.definition.name)["seconds"])
            for name, act in list(acts.items()):
                found = act()
                if isinstance(found, str):
                    told[name] = f"not measured: {found.strip()[-200:]}"
                    del acts[name]
                else:
                    seconds.setdefault(name, []).append(found)
    for name in acts:
        told[f"tidemark against {name}"] = ratio(seconds["tidemark"], seconds[name])
    return {"workers": PROCESSES, "rates": rates(seconds, site.records), **told}


def _peers(site: Site, version: str) -> dict[str, Callable[[], float | str]]:
    models = ["--", str(site.home / "models"), version]
    halves = [(part * site.records // PROCESSES, (part + 1) * site.records // PROCESSES) for part in range(PROCESSES)]

    def run(kind: str, python: str, spans: list[tuple[int, int]]) -> float | str:
        make_tables(site)
        address = site.url.replace("+psycopg", "")
        where = (address, site.definition.source, site.definition.key)
        begin = [python, "-m", "benchmarks.peers.pipeline", kind, *where]
        commands = [[*begin, str(first), str(last), *site.definition.input_columns, *models] for first, last in spans]
        return run_together(commands, site.environment)

    return {
        "read_sql, Keras predict, to_sql": lambda: run("naive", sys.executable, [(0, site.records)]),
        "LightGBM 500 trees, ADBC and COPY, 2 processes": lambda: run("lightgbm", site.peers_python, halves),
        "the bare copy, ADBC and COPY, 2 processes": lambda: run("copy", sys.executable, halves),
    }


def make_tables(site: Site) -> None:
    with writing(site.engine) as connection:
        for name in ("naive_scores", "fast_scores"):
            connection.execute(text(f"DROP TABLE IF EXISTS {name}"))
        connection.execute(
            text(
                "CREATE TABLE fast_scores "
                "(record_key TEXT PRIMARY KEY, probability DOUBLE PRECISION, points INT, band TEXT)"
            )
        )
