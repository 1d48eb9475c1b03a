"""The retraining policy of a portfolio: when to train, on what, the limits of the gate, when to roll back."""

from dataclasses import dataclass, field
from enum import StrEnum
from math import ceil
from typing import Any, Self

MOST_DOUBLINGS = 2  # of the cool-down
NIGHTS_TRIED = 2  # with a new model, before a refit without an alarm
MONTH_DAYS = 30  # of the monthly cap, and of the longest probation
JUDGED_SHARE = 0.4  # of the new outcomes, at least, judge the challengers


class WhenDrifted(StrEnum):
    """What follows a drifted night, or outcomes that do not fit the scores."""

    FINE_TUNE = "fine_tune"
    ALERT = "alert"


class WithoutOutcomes(StrEnum):
    """What follows when there are too few new outcomes to learn from."""

    ALERT = "alert"
    PRETRAIN = "pretrain"


class AffectedNights(StrEnum):
    """What becomes of the nights that a champion scored before it was taken back."""

    MARK = "mark"
    RESCORE = "rescore"


@dataclass(frozen=True)
class GatePolicy:
    """Bounds of the gate, decided before a challenger is seen."""

    least_bad: int = 100  # bad outcomes later than anything trained on; with fewer there is no decision
    largest_auc_loss: float = 0.005
    confidence: float = 0.95
    least_calibration_slope: float = 0.9
    largest_calibration_slope: float = 1.1
    largest_points_psi: float = 0.1
    least_speed: float = 0.5  # records per second, as a share of the champion's


@dataclass(frozen=True)
class RetrainingPolicy:
    """The section [retraining]. Nights are scoring jobs that were monitored."""

    when_drifted: WhenDrifted = WhenDrifted.FINE_TUNE
    when_outcomes_differ: WhenDrifted = WhenDrifted.FINE_TUNE  # outcomes that do not fit what the scores had said
    without_outcomes: WithoutOutcomes = WithoutOutcomes.ALERT
    records: str | None = None  # where records are kept as they were when scored; None = the source
    refresh: float | None = 0.25  # share by which the outcomes must grow for a refit without drift; None = never
    outcome_after: int | None = None  # days until an outcome is final; younger ones are not used; None = at once
    time_budget: int = 60  # minutes, for each challenger
    least_bad_outcomes: int = 300
    cool_down_nights: int = 7
    monthly_cap: int = 4
    shadow_nights: int = 0
    probation_nights: int = 5
    affected_nights: AffectedNights = AffectedNights.MARK
    cut_off: float | None = None  # points; None = where the champion turns a tenth away
    gate: GatePolicy = field(default_factory=GatePolicy)

    def cool_down(self, failures: int) -> int:
        """Return the nights, or days, between two retrainings.

        They are doubled for each further consecutive one without success, up to four times.
        """
        return self.cool_down_nights * 2 ** min(max(0, failures - 1), MOST_DOUBLINGS)

    def nights_between(self, failures: int) -> int:
        """Return the least nights from a training to the next one that an alarm asks for, whatever the calendar says.

        None before the first of them. Then two, and four after two alarms in a row that no training has cured: a model
        is not replaced before it was tried, and where every night differs, the newest one is no better guide.
        """
        return min(self.cool_down(failures), NIGHTS_TRIED * min(failures, 2)) if failures else 0

    @property
    def bad_for_refresh(self) -> int:
        """The new bad outcomes that a refresh needs: two fifths of them are held out, and must be able to judge it."""
        return ceil(self.gate.least_bad / JUDGED_SHARE)

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """Read back what `dataclasses.asdict` made."""
        values = dict(document)
        values["when_drifted"] = WhenDrifted(values["when_drifted"])
        if "when_outcomes_differ" in values:
            values["when_outcomes_differ"] = WhenDrifted(values["when_outcomes_differ"])
        values["without_outcomes"] = WithoutOutcomes(values["without_outcomes"])
        values["affected_nights"] = AffectedNights(values["affected_nights"])
        values["gate"] = GatePolicy(**values["gate"])
        return cls(**values)
