"""The privacy policy of a portfolio: how long results are kept, and whether keys are stored as hashes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PrivacyPolicy:
    """Days after a job's end until its results are removed (None: never), and how keys stand in results."""

    scores_days: float | None = None
    rejects_days: float | None = None
    hashed_keys: bool = False
