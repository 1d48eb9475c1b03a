"""Counts the feed of an event table by the age of its events, so that one that doubles or comes late can be named.

The counts are of a fixed size, hold no value of an event, and are added up over shards.
"""

from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transformer.events.event_columns import DAY, MICROSECONDS, EventColumns
from transformer.events.event_sums import count_repeats
from transformer.records.holders import LEAST_HOLDERS

DAYS = 28  # counted one by one, the newest first; older events have one count together

Counts = dict[str, Any]


def count_feed(events: EventColumns, moments: NDArray[np.int64], now: datetime) -> Counts:
    """Return the counts of N records' events by their age in days: how many, how many different, how many odd.

    Events of one record with the same time and values are the same; "odd" are the different ones that stand an odd
    number of times, as nearly all do unless each was loaded twice. A moment (N) that lies after `now` is counted from
    `now`: nobody has events of the hours between. "weekdays" are the records by the weekday of their moment. {} if
    there are too few records.
    """
    if events.records < LEAST_HOLDERS:
        return {}
    counts = np.zeros((3, DAYS + 1), np.int64)
    counted_from = np.minimum(moments, int(now.timestamp() * MICROSECONDS))
    codes, numbers = events.stack()
    ahead = (moments - counted_from) / DAY
    count_repeats(events.starts, events.age, ahead, codes, numbers.view(np.int64), counts)
    known = counted_from[counted_from != np.iinfo(np.int64).min]  # the moment of a record that has none
    weekdays = np.bincount(known // DAY % 7, minlength=7).tolist()
    return dict(zip(("events", "distinct", "odd"), counts.tolist(), strict=True)) | {"weekdays": weekdays}
