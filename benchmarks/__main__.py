"""Runs the benchmarks of speed: `python3 run.py bench [--quick] [SCENARIO...]`.

One scenario a file in `benchmarks/scenarios`; each has `measure(site) -> dict`. Results go to `benchmarks/results`,
with machine, commit and spread, and to the terminal as a table. Everything runs on a PostgreSQL server of its own, on
records drawn from credit_cards (`--data`, default ../shared/data) or, where that set is absent, from the simulator's.
Peers (LightGBM, PyTorch) run in the interpreter that TIDEMARK_BENCH_PYTHON names, with the extra `bench` installed;
where one is absent its rows say so.
"""

import argparse
import json
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.report import write_report
from benchmarks.site import Site, open_site

SCENARIOS = (
    "read",
    "features",
    "score",
    "events_score",
    "write",
    "ledger",
    "planning",
    "start_up",
    "end_to_end",
    "events_end_to_end",
    "reasons",
    "overlap",
    "ray_data",
    "scale",
)
SLOW = ("events_end_to_end", "ledger", "overlap", "ray_data", "scale")


def main() -> None:
    options = _parser().parse_args()
    use_one_thread()
    chosen = options.scenario or [name for name in SCENARIOS if not (options.quick and name in SLOW)]
    with open_site(Path(options.data), quick=options.quick) as site:
        for name in chosen:
            _run(site, name)


def use_one_thread() -> None:
    """What is timed in this process has one core. It must be said before TensorFlow does anything."""
    import tensorflow as tf  # noqa: PLC0415 - three seconds, which `--help` need not wait for

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def _run(site: Site, name: str) -> None:
    begun = perf_counter()
    results = import_module(f"benchmarks.scenarios.{name}").measure(site)
    document = {"quick": site.quick, "records": site.records, "book": site.book_name, **results}
    path = write_report(f"speed_{name}", document)
    print(f"\n== {name} ({perf_counter() - begun:.0f} s, {path.name})", flush=True)
    for line in _as_lines(results):
        print(line, flush=True)


def _as_lines(results: dict[str, Any], indent: str = "  ") -> list[str]:
    lines: list[str] = []
    for key, value in results.items():
        if isinstance(value, dict) and not _is_flat(value):
            lines += [f"{indent}{key}", *_as_lines(value, indent + "  ")]
        else:
            lines.append(f"{indent}{key:<44} {value if isinstance(value, str) else json.dumps(value)}")
    return lines


def _is_flat(value: dict[str, Any]) -> bool:
    return not any(isinstance(one, dict) for one in value.values()) and len(value) <= 6


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="run.py bench", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer records and runs: some minutes")
    parser.add_argument("--data", default="../shared/data", help="folder of the data sets")
    parser.add_argument("scenario", nargs="*", choices=[*SCENARIOS, []], metavar="SCENARIO", help=", ".join(SCENARIOS))
    return parser


if __name__ == "__main__":
    main()
