"""From PostgreSQL to PostgreSQL against Ray Data with an FT-Transformer of equal size under torch.compile, in turn.

Ray is tried with several batch sizes first, and its best one is compared. Its time is counted in its favour (see
`benchmarks.peers.ray_data`); Tidemark's runs from the first claim of a shard to the closed job, on warm workers.
"""

import subprocess
from typing import Any

import numpy as np

from benchmarks.running import running_system, tidemark
from benchmarks.scenarios.end_to_end import PROCESSES, make_tables
from benchmarks.site import Site
from benchmarks.timing import rates, ratio

BATCHES = (512, 1024, 2048, 4096)


def measure(site: Site) -> dict[str, Any]:
    assert site.version, "the champion is there before the workers start"
    command = [site.peers_python, "-m", "benchmarks.peers.ray_data", site.url.replace("+psycopg", "")]
    command += [site.definition.source, site.definition.key, str(site.records), *site.definition.input_columns]
    peer = subprocess.Popen(  # noqa: S603 - our own command
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        if not _is_ready(peer):
            said = peer.communicate()[1].strip().splitlines()
            return {"Ray Data": f"not measured: {said[-1] if said else 'it ended'}"}
        tried = {batch: _run(site, peer, batch) for batch in BATCHES}
        best = min(tried, key=tried.__getitem__)
        seconds: dict[str, list[float]] = {"tidemark": [], f"Ray Data, batch {best}": []}
        with running_system(site, workers=PROCESSES):
            for _ in range(site.runs):
                seconds["tidemark"].append(tidemark(site, "score", site.definition.name)["seconds"])
                seconds[f"Ray Data, batch {best}"].append(_run(site, peer, best))
    finally:
        peer.kill()
        peer.wait()
    return {
        "workers": PROCESSES,
        "Ray Data's seconds by batch size": {str(batch): round(one, 2) for batch, one in tried.items()},
        "rates": rates(seconds, site.records),
        "tidemark against Ray Data": ratio(*seconds.values()),
        "spread": {name: round(float(np.std(one) / np.mean(one)), 3) for name, one in seconds.items()},
    }


def _is_ready(peer: subprocess.Popen[str]) -> bool:
    assert peer.stdout is not None
    return peer.stdout.readline().strip() == "ready"


def _run(site: Site, peer: subprocess.Popen[str], batch: int) -> float:
    assert peer.stdin is not None
    assert peer.stdout is not None
    make_tables(site)
    peer.stdin.write(f"{batch}\n")
    peer.stdin.flush()
    line = peer.stdout.readline()
    if not line:
        raise SystemExit(f"Ray Data failed: {peer.communicate()[1][-2000:]}")
    return float(line)
