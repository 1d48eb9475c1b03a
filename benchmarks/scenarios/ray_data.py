"""From PostgreSQL to PostgreSQL against Ray Data with an FT-Transformer of equal size under torch.compile, in turn.

Ray is tried with several batch sizes first, and its best one is compared. Its seconds run from when its actors are
ready and compiled to its last commit, Tidemark's from the first claim of a shard to the closed job, on warm workers.
"""

import subprocess
from typing import Any

from benchmarks.running import running_system, tidemark
from benchmarks.scenarios.end_to_end import PROCESSES, make_tables
from benchmarks.site import Site
from benchmarks.timing import rates, ratio

BATCHES = (512, 1024, 2048, 4096)


def measure(site: Site) -> dict[str, Any]:
    assert site.version, "the champion is there before the workers start"
    tried: dict[int, float] = {}
    for batch in BATCHES:
        found = _run(site, batch)
        if isinstance(found, str):
            return {"Ray Data": f"not measured: {found}"}
        tried[batch] = found
    best = min(tried, key=tried.__getitem__)
    ours: list[float] = []
    theirs: list[float] = []
    with running_system(site, workers=PROCESSES):
        for _ in range(site.runs):
            ours.append(tidemark(site, "score", site.definition.name)["seconds"])
            theirs.append(float(_run(site, best)))
    return {
        "workers": PROCESSES,
        "Ray Data's seconds by batch size": {str(batch): round(one, 2) for batch, one in tried.items()},
        "rates": rates({"tidemark": ours, f"Ray Data, batch {best}": theirs}, site.records),
        "tidemark against Ray Data": ratio(ours, theirs),
    }


def _run(site: Site, batch: int) -> float | str:
    """Return the seconds of one run in a process of its own, or the last line of what went wrong."""
    make_tables(site)
    command = [site.peers_python, "-m", "benchmarks.peers.ray_data", site.url.replace("+psycopg", "")]
    command += [site.definition.source, site.definition.key, str(site.records), str(batch)]
    command += site.definition.input_columns
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    if done.returncode != 0:
        return (done.stderr.strip().splitlines() or ["it failed"])[-1]
    return float(done.stdout.splitlines()[-1])
