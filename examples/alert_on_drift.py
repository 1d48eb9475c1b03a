"""Reports when the newest night of a book needs attention; for cron, or as a check of your monitoring system.

    python examples/alert_on_drift.py customers https://example.org/hook

Exit code 0: stable; 1: needs attention (also posted as JSON if a URL is given); 2: no night has been monitored.
Webhooks (docs/http-api.md) send the same at once, without polling.
"""

import sys

import httpx

from scheduler.client import Tidemark

QUIET = {"stable", "insufficient"}  # insufficient: too few records for a verdict


def main(portfolio: str, url: str | None = None) -> int:
    """Check the newest monitored night."""
    with Tidemark() as tidemark:
        night = next(tidemark.drift(portfolio), None)
    if night is None:
        print(f"{portfolio}: no night has been monitored")
        return 2
    said = f"{portfolio}, job {night['job']}, model {night['model_version']}: {night['verdict']}"
    print(said, *night["figures"].get("reasons", []), sep="\n  ")
    if night["verdict"] in QUIET:
        return 0
    if url is not None:
        httpx.post(url, json={"text": said, "job": night["job"], "verdict": night["verdict"]}).raise_for_status()
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
