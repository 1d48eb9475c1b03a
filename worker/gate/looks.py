"""How far an interval must reach, so that a rule may be applied after every night. Pure.

A challenger is looked at again and again until it is promoted or refused. With the usual 1.96 standard errors at every
look, a worse model would pass sooner or later. Here the permitted error is divided: `FIRST_SHARE` of it goes to the
first look, which is an ordinary one-sided test; the rest to all later looks together, whose interval is always valid
(a normal mixture: Robbins 1970; Howard et al. 2021, section 3.2). A worse model is promoted at one of the looks with at
most this error, however many there are. `benchmarks/promotion_errors.py` shows it by simulation.
"""

from dataclasses import dataclass
from math import log, sqrt
from statistics import NormalDist

FIRST_SHARE = 0.8  # of the permitted error
SHARPEST = 3.0  # times the least bad outcomes: where the later looks' interval is narrowest
_MIXTURE = 8.0  # information over the mixture's scale where the interval is narrowest; of 1 % error


@dataclass(frozen=True)
class Look:
    """A look at a challenger: the first one, or a later one at `bad` bad outcomes in all.

    `error` is permitted to all looks together.
    """

    is_first: bool
    bad: int
    least_bad: int
    error: float = 0.05

    @property
    def reach(self) -> float:
        """How many standard errors the one-sided interval reaches.

        >>> [round(Look(True, 100, 100).reach, 2), round(Look(False, 300, 100).reach, 2)]
        [1.75, 3.36]
        """
        if self.is_first:
            return NormalDist().inv_cdf(1 - self.error * FIRST_SHARE)
        return always_valid_reach(self.bad / (SHARPEST * self.least_bad), self.error * (1 - FIRST_SHARE))


def always_valid_reach(information: float, error: float) -> float:
    """Return how many standard errors a one-sided interval must reach to hold at all times at once.

    `information` is that of the data so far (its inverse variance), over the information at which the interval is to
    be narrowest.
    """
    ratio = max(information, 1e-9) * _MIXTURE
    return sqrt(2 * (1 + 1 / ratio) * log(1 + sqrt(1 + ratio) / (2 * error)))
