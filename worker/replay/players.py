"""The policies that play: the loop, and the simpler ones that it is compared with."""

from dataclasses import dataclass
from typing import Protocol

from db.schema.states import Verdict
from worker.replay.loop_player import Loop
from worker.replay.models import Model, Workshop
from worker.replay.past import Floats

NEVER, THE_LOOP = "never", "the loop"
EVERY_NIGHT, EVERY_MONTH, AT_ALARMS = "every night", "every month", "at every alarm"
_MONTH_DAYS = 28  # the shortest: nights of two months are at least so far apart


class Player(Protocol):
    """A policy on its way through the nights."""

    champion: Model

    def before(self, night: int) -> None:
        """Act on the outcomes that are known before a night."""

    def after(self, night: int, verdict: Verdict, probabilities: Floats) -> None:
        """Act on the verdict of a night."""


@dataclass
class Never:
    """The first model for all nights."""

    champion: Model

    def before(self, night: int) -> None:
        """Do nothing."""

    def after(self, night: int, verdict: Verdict, probabilities: Floats) -> None:
        """Do nothing."""


@dataclass
class Refit:
    """Trains again on all that is known, before every night or only after one that has drifted, without any gate.

    Two trainings are at least `least_days` of the book's calendar apart.
    """

    champion: Model
    workshop: Workshop
    at_alarms: bool
    least_days: int = 0
    alarm: bool = False
    last_night: int | None = None

    def before(self, night: int) -> None:
        """Train again if there is something new."""
        rows = self.workshop.past.rows_known(night)
        newest = int(self.workshop.past.nights[rows].max())
        past = self.workshop.past
        is_early = self.last_night is not None and past.days(self.last_night, night) < self.least_days
        if newest > self.champion.learned_night and not is_early and (self.alarm or not self.at_alarms):
            self.last_night = night
            self.champion = self.workshop.train(rows, learned_night=newest)

    def after(self, night: int, verdict: Verdict, probabilities: Floats) -> None:
        """Remember an alarm."""
        del night, probabilities
        self.alarm = verdict is Verdict.DRIFTED


def make_player(name: str, model: Model, workshop: Workshop) -> Player:
    """Return the player of a policy by its name; all begin with the same model."""
    if name == NEVER:
        return Never(model)
    if name == THE_LOOP:
        return Loop(model, workshop)
    least_days = _MONTH_DAYS if name == EVERY_MONTH else 0
    return Refit(model, workshop, at_alarms=name == AT_ALARMS, least_days=least_days)
