"""The sequential rule over nights: one-sided sums (CUSUM) of the corrected PSI and of the shift of the mean.

Each night adds what is beyond an allowance, and a sum never falls below zero:

    psi_sum  = max(0, psi_sum + psi_corrected - allowance)
    up, down = max(0, up + shift - allowance), max(0, down - shift - allowance)

A sum that reaches its limit raises the alarm, and so does a single night beyond its own. The sums find a small shift
that stays; where nights follow each other closely, they say little more than one night does, and the night's own limit
is the sharper one. The allowance is an effect size, half of the shift that is to be found: a difference that is certain
but small (a million records make any difference certain) never adds up to an alarm.
The limits are set by simulation: `worker.drift.alarm_limits`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_CAP = 3.0  # times the limit: a sum must be able to come down when the shift is gone


@dataclass(frozen=True)
class NightFigures:
    """The input of the rule: one night."""

    job_id: int
    psi_corrected: float
    shift: float


@dataclass(frozen=True)
class AlarmLimits:
    """Allowances and limits, and what they were set from."""

    psi_allowance: float
    psi_limit: float
    psi_night: float
    shift_allowance: float
    shift_limit: float
    shift_night: float
    nights: int
    autocorrelation: float
    shift_deviation: float
    n_reference: int
    n_current: int

    def to_document(self) -> dict[str, Any]:
        """Return the limits as a JSON document."""
        return dict(vars(self))

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "AlarmLimits":
        """Read back what `to_document` wrote."""
        return cls(**document)


@dataclass(frozen=True)
class AlarmState:
    """The sums after the last night. `since_job` is the first night of the current alarm."""

    raised: bool
    new: bool
    nights: int
    psi_sum: float
    up: float
    down: float
    since_job: int | None
    limits: AlarmLimits

    @property
    def is_half_way(self) -> bool:
        """Whether a sum is beyond half of its limit."""
        shift = max(self.up, self.down)
        return self.psi_sum >= self.limits.psi_limit / 2 or shift >= self.limits.shift_limit / 2

    def to_document(self) -> dict[str, Any]:
        """Return the state as a JSON document."""
        limits = self.limits
        psi = {"sum": self.psi_sum, "limit": limits.psi_limit, "allowance": limits.psi_allowance}
        shift = {"up": self.up, "down": self.down, "limit": limits.shift_limit, "allowance": limits.shift_allowance}
        return {
            "raised": self.raised,
            "new": self.new,
            "nights": self.nights,
            "since_job": self.since_job,
            "psi": psi | {"one_night": limits.psi_night},
            "shift": shift | {"one_night": limits.shift_night},
            "set_from": {"nights": limits.nights, "autocorrelation": limits.autocorrelation},
        }


def run_rule(nights: Sequence[NightFigures], limits: AlarmLimits) -> AlarmState:
    """Add the nights up, oldest first, and return the sums after the last one."""
    psi_sum = up = down = 0.0
    since: int | None = None
    was_raised = is_raised = False
    for night in nights:
        psi_sum = _add(psi_sum, night.psi_corrected, limits.psi_allowance, limits.psi_limit)
        up = _add(up, night.shift, limits.shift_allowance, limits.shift_limit)
        down = _add(down, -night.shift, limits.shift_allowance, limits.shift_limit)
        was_raised = is_raised
        is_raised = (
            psi_sum >= limits.psi_limit
            or max(up, down) >= limits.shift_limit
            or night.psi_corrected >= limits.psi_night
            or abs(night.shift) >= limits.shift_night
        )
        since = (since if was_raised else night.job_id) if is_raised else None
    return AlarmState(is_raised, is_raised and not was_raised, len(nights), psi_sum, up, down, since, limits)


def _add(total: float, figure: float, allowance: float, limit: float) -> float:
    return min(max(0.0, total + figure - allowance), _CAP * limit)
