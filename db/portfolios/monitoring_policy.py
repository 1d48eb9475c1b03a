"""The monitoring policy of a portfolio: reference, limits of pipeline faults, size of a shift, calendar."""

import calendar as months
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Self
from zoneinfo import ZoneInfo

NIGHT_OPTION = "night"  # of a scoring job: the date that its records are of
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class ReferenceChoice(StrEnum):
    """What nights are compared with."""

    TRAINING = "training"  # the held-out part of the records that the model was trained on
    FIRST_NIGHT = "first_night"  # the first night that the model scored


@dataclass(frozen=True)
class CalendarEffect:
    """Nights that are different by nature, such as pay-day. `days` are of the month, -1 is the last one."""

    name: str
    days: tuple[int, ...] = ()
    weekdays: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()

    def falls_on(self, night: date) -> bool:
        """Whether the night is one of them."""
        length = months.monthrange(night.year, night.month)[1]
        is_day = night.day in self.days or night.day - length - 1 in self.days
        return is_day or WEEKDAYS[night.weekday()] in self.weekdays or night.isoformat() in self.dates


@dataclass(frozen=True)
class MonitoringPolicy:
    """The section [monitoring]. Rises are shares of the records, above the reference's."""

    reference: ReferenceChoice = ReferenceChoice.TRAINING
    least_records: int = 200
    watch_psi: float = 0.1
    drifted_psi: float = 0.25
    largest_missing_rise: float = 0.1
    largest_unseen_rise: float = 0.1
    canary_tolerance: float = 0.0  # 0 = to the last stored digit
    quiet_years: float = 3.0  # of nights, in which at most one false alarm is to be expected
    time_zone: str = "UTC"  # of the calendar
    calendar: tuple[CalendarEffect, ...] = ()

    def date_of(self, options: Mapping[str, Any], submitted_at: datetime) -> date:
        """Return the date of a scoring job's records: as given, or else the day of submission."""
        night = options.get(NIGHT_OPTION)
        return date.fromisoformat(night) if night else submitted_at.astimezone(ZoneInfo(self.time_zone)).date()

    def effect_on(self, night: date) -> str | None:
        """Return the name of the first declared effect that falls on the night."""
        return next((one.name for one in self.calendar if one.falls_on(night)), None)

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """Read back what `dataclasses.asdict` made."""
        values = dict(document)
        values["reference"] = ReferenceChoice(values["reference"])
        values["calendar"] = tuple(
            CalendarEffect(one["name"], tuple(one["days"]), tuple(one["weekdays"]), tuple(one["dates"]))
            for one in values["calendar"]
        )
        return cls(**values)
