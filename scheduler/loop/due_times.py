"""The due times of a cron expression in a time zone, correct on daylight-saving nights. Pure: no clock."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from db.events.wording import counted
from scheduler.errors import UsageError

_FIELDS = 5  # cronsim takes a sixth for seconds, which no night needs and which would flood the queue
_EXPECTED = (
    'expected five fields (minute, hour, day of month, month, day of week) such as "0 2 * * *" (every day at two)'
)
_ANY_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Timetable:
    """A cron expression in a time zone.

    Daylight saving follows Debian's cron: an expression that names its minutes and hours runs once a day whatever the
    clocks do (a time that the clocks jump over runs at the jump's end, a time that comes twice runs the first time);
    one whose minutes or hours begin with a star follows the clock on the wall.
    """

    cron: str
    zone: ZoneInfo

    def due_after(self, moment: datetime) -> Iterator[datetime]:
        """Yield the due times later than `moment` forever, in UTC, each later than the one before."""
        last = moment
        for on_the_wall in CronSim(self.cron, moment.astimezone(self.zone)):
            due = on_the_wall.astimezone(UTC)
            # In the hour that comes twice the library starts from the first of the two.
            if due > last:
                yield due
                last = due

    def next_after(self, moment: datetime) -> datetime:
        """Return the first due time later than `moment`. Raises `UsageError` if none comes within 50 years."""
        due = next(self.due_after(moment), None)
        if due is None:
            raise UsageError(f'the cron expression "{self.cron}" never matches any time; {_EXPECTED}')
        return due

    def in_words(self) -> str:
        """Return the cron expression as an English phrase."""
        return CronSim(self.cron, _ANY_MOMENT).explain()


def read_timetable(cron: str, time_zone: str) -> Timetable:
    """Return the timetable of a cron expression with five fields and the IANA name of a time zone.

    Raises `UsageError` with what was expected.
    """
    return Timetable(_read_cron(cron), _read_zone(time_zone))


def _read_cron(cron: str) -> str:
    parts = cron.split()
    if len(parts) != _FIELDS:
        raise UsageError(f'"{cron}" has {counted(len(parts), "field")}; {_EXPECTED}')
    try:
        CronSim(cron, _ANY_MOMENT)
    except CronSimError as error:
        reason = str(error).lower().replace("-", " ")
        raise UsageError(f'"{cron}" is not a cron expression ({reason}); {_EXPECTED}') from error
    return " ".join(parts)


def _read_zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    # A name that is not there, one that is not a name at all, one that is a folder of names: `America`.
    except (KeyError, ValueError, OSError) as error:
        known = {zone.casefold(): zone for zone in available_timezones()}
        nearest = difflib.get_close_matches(name.casefold(), known, n=3)
        listed = f"; nearest: {', '.join(known[one] for one in nearest)}" if nearest else ""
        raise UsageError(f"{name!r} is not a time zone; expected an IANA name such as Asia/Shanghai{listed}") from error
