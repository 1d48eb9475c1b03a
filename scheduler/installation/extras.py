"""Which parts of Tidemark are installed: the base is the Python client alone, each part comes with an extra."""

from collections.abc import Iterable
from importlib.util import find_spec

from scheduler.errors import MissingExtraError
from worker.contract.messages import SCORING_QUEUE

SCORING, TRAINING, SERVER = "scoring", "training", "server"
# A package that only this extra, and those that hold it, bring.
_PROOF = {SCORING: "numba", TRAINING: "sklearn", SERVER: "uvicorn"}


def require_extras(*extras: str) -> None:
    """Raise `MissingExtraError` unless all of these extras are installed."""
    missing = [one for one in extras if find_spec(_PROOF[one]) is None]
    if missing:
        raise MissingExtraError(missing)


def extras_of_queues(queues: Iterable[str]) -> tuple[str, ...]:
    """Return the extras that a worker of these queues needs: what monitors may train."""
    return (SCORING,) if set(queues) == {SCORING_QUEUE} else (SCORING, TRAINING)
