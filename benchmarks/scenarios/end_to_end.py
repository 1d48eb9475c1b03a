"""From PostgreSQL to PostgreSQL: a scoring job with 2 warm workers, beside what others write. All runs in turn.

Tidemark's seconds run from the first claim of a shard to the closed job, with ledger, digests, rejects and histograms;
those of the others from a common start, with everything loaded, to their last commit. "As trained" is what `tidemark
train` makes of these records by default, trees among its ways, and every score with its reasons; "bare network" is the
default network untrained, without trees and without reasons.
"""

import sys
from collections.abc import Callable
from typing import Any

from sqlalchemy import text

from benchmarks.running import run_together, running_system, tidemark
from benchmarks.site import Site
from benchmarks.timing import rates, ratio
from db.connections.engine import writing

PROCESSES = 2
AS_TRAINED, BARE = "tidemark, as trained", "tidemark, bare network"
LEARNT_RECORDS = 24_000  # of the book; how fast the result scores does not depend on more


def measure(site: Site) -> dict[str, Any]:
    version, book = site.version, site.definition.name
    document: dict[str, Any] = {}
    acts = _peers(site, version)
    with running_system(site, workers=PROCESSES):
        trained = tidemark(site, "train", book, "--sample", str(LEARNT_RECORDS), "--hold")["model_version"]
        own = {AS_TRAINED: ("--model", trained), BARE: ("--model", version, "--no-reasons")}
        seconds: dict[str, list[float]] = {name: [] for name in own}
        for options in own.values():  # both models are loaded before anything is timed
            tidemark(site, "score", book, *options)
        for _ in range(site.runs):
            for name, options in own.items():
                seconds[name].append(tidemark(site, "score", book, *options)["seconds"])
            for name, act in list(acts.items()):
                found = act()
                if isinstance(found, str):
                    document[name] = f"not measured: {found.strip()[-200:]}"
                    del acts[name]
                else:
                    seconds.setdefault(name, []).append(found)
    document |= {
        f"{own} against {name}": ratio(seconds[own], seconds[name]) for own in (AS_TRAINED, BARE) for name in acts
    }
    return {"workers": PROCESSES, "rates": rates(seconds, site.records), **document}


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
