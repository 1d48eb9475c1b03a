"""The text of a reason code: as the portfolio gives it, or, where it is made of events, as a person would say it.

A code of events is the name of an aggregate, TABLE[NAME].COLUMN.MEASURE.PART.WINDOW; most parts may be absent (see
`transformer.events.candidates.name_field`).
"""

import re
from collections.abc import Iterable, Mapping

from db.portfolios.definition import EventsDefinition, PortfolioDefinition

_CODE = re.compile(
    r"(?:\[(?P<name>.*)\])?(?:\.(?P<column>.*?))?"
    r"\.(?P<measure>count|share|sum|mean|smallest|largest|deviation|newest|change|slope|days_since_last|days_since_first"
    r"|mean_days_since|mean_gap|overdue|distinct|followed|name|order)"
    r"(?:\.(?P<place>\d+))?(?:\.(?P<part>night|morning|afternoon|evening))?(?:\.(?P<window>[0-9.]+[dh]))?"
)
_OF_A_COLUMN = {
    "sum": "sum of {column}",
    "mean": "mean {column}",
    "smallest": "smallest {column}",
    "largest": "largest {column}",
    "deviation": "spread of {column}",
    "newest": "last {column}",
    "change": "recent change of {column}",
    "slope": "trend of {column}",
    "distinct": "number of different values of {column}",
    "name": "last {column}",
}
_OF_EVENTS = {
    "count": "number",
    "share": "share among all events",
    "days_since_last": "days since the last one",
    "days_since_first": "days since the first one",
    "mean_days_since": "how long ago on average",
    "mean_gap": "days from one to the next",
    "overdue": "longer or shorter ago than usual",
    "followed": "number within a day",
    "order": "what came after what, and when",
}


def reason_texts_of(definition: PortfolioDefinition, codes: Iterable[str]) -> dict[str, str]:
    """Return the texts of those codes that have one."""
    made = {code: say_event_reason(one, code) for code in codes for one in definition.events}
    return {code: text for code, text in made.items() if text is not None} | definition.reason_texts


def say_event_reason(events: EventsDefinition, code: str) -> str | None:
    """Return the text of a reason code; None if it is not made of these events.

    A text that the portfolio gives the name, the column or the measure of a code comes first.

    >>> bookings = EventsDefinition("bookings", "bookings", "id", "at", "kind", reasons=(("salary", "No salary"),))
    >>> say_event_reason(bookings, "bookings[cash].amount.sum.30d")
    'bookings, cash: sum of amount in the last 30 days'
    >>> say_event_reason(bookings, "bookings[salary then cash].followed.night")
    'bookings, salary then cash: number within a day, at night'
    >>> say_event_reason(bookings, "bookings[salary].days_since_last")
    'No salary'
    """
    found = _CODE.fullmatch(code.removeprefix(events.name)) if code.startswith(events.name) else None
    if found is None:
        return None
    part: Mapping[str, str | None] = found.groupdict()
    own = dict(events.reasons)
    given = next((own[one] for one in (part["name"], part["column"], part["measure"]) if one in own), None)
    return given or _say(events.name, part)


def _say(table: str, part: Mapping[str, str | None]) -> str:
    subject = table if part["name"] is None else f"{table}, {part['name']}"
    measure = part["measure"] or ""
    said = _OF_A_COLUMN.get(measure, _OF_EVENTS.get(measure, measure)).format(column=part["column"])
    if part["place"] is not None:
        said += f" but {int(part['place']) - 1}"
    if part["part"] is not None:
        said += ", at night" if part["part"] == "night" else f", in the {part['part']}"
    if part["window"] is not None:
        unit = "days" if part["window"].endswith("d") else "hours"
        said += f" in the last {part['window'][:-1]} {unit}"
    return f"{subject}: {said}"
