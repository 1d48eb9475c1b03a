"""Signs of a broken feed of events: it stops, it doubles, or it is late.

Fields made of events of one table give one sign: a feed that stops changes all of them at once. That a feed doubles or
is late is told by counts of its events by age (`transformer.events.event_feed`). A sign needs a night before, or the
training, in which the feed was as usual: more or fewer events, other kinds of them and quiet weekends are none.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from db.events.wording import counted
from worker.drift.column_faults import Sign

SHOWN = 2  # signs of a table that are told in full

_HARDLY_ANY = 0.02  # of different events, that stand an odd number of times in a doubled feed
_USUALLY = 0.5  # the share of these that a feed needs in which doubling can be seen
_MORE_REPEATS = 0.2  # of all events, so that a feed may be doubled in part
_WEEKS = (7, 14, 21)  # days before: a weekend is compared with weekends
_LEAST = 30  # events of a span, or on each of these days: of so many, none is no chance
_WEEKEND, _OFTEN = 2, 0.1  # days, and the share of the records that are judged on a weekday, to rule out quiet ones
_NONE, _SOME = 0.01, 0.1  # of the fewest events on these days: a late feed, and one that comes in time

Feed = Mapping[str, Sequence[int]]


def merge_event_signs(signs: Sequence[Sign], tables: Collection[str]) -> list[Sign]:
    """Return the signs, those of each event table as one certain sign and one suspicion at most."""
    merged = [one for one in signs if _table_of(one, tables) is None]
    for table in tables:
        for is_certain in (True, False):
            own = [one for one in signs if _table_of(one, tables) == table and one.is_certain is is_certain]
            if own:
                merged.append(Sign(f"events {table}", _say(table, own), is_certain=is_certain))
    return merged


def _table_of(sign: Sign, tables: Collection[str]) -> str | None:
    return next((one for one in tables if sign.about.startswith((f"{one}.", f"{one}["))), None)


def _say(table: str, signs: Sequence[Sign]) -> str:
    shown = "; ".join(one.text for one in signs[:SHOWN])
    rest = len(signs) - SHOWN
    more = f"; and {counted(rest, 'more field')} made of them" if rest > 0 else ""
    return f"the events {table} have changed: {shown}{more}"


def find_feed_signs(night: Mapping[str, Any], before: Sequence[Mapping[str, Any]]) -> Iterator[Sign]:
    """Yield what the counts of feeds by table say, compared with those `before` that have the table too."""
    for table, feed in night.items():
        known = [one[table] for one in before if one.get(table)]
        if feed and known:
            yield from _find_doubled(table, feed, known)
            yield from _find_late(table, feed, known)


def late_sign(table: str) -> str:
    """Return what the sign of a late feed is about."""
    return f"events {table}: late"


def _find_doubled(table: str, feed: Feed, before: Sequence[Feed]) -> Iterator[Sign]:
    last = len(feed["events"])
    if not all(_sum(one, "odd", 0, last) >= _USUALLY * max(1, _sum(one, "distinct", 0, last)) for one in before):
        return
    for first, end in [*((0, end) for end in range(last, 0, -1)), *((day, day + 1) for day in range(1, 7))]:
        if _is_doubled(feed, first, end) and not any(_is_doubled(one, first, end) for one in before):
            text = (
                f"the events {table} are doubled: nearly each of {_say_span(first, end, last)} stands twice, with the "
                f"same time and values ({_sum(feed, 'distinct', first, end):,} different ones), and did not before. "
                "Check whether a file was loaded twice"
            )
            yield Sign(f"events {table}: doubled", text, is_certain=True)
            return
    share, usual = _repeats(feed), max(map(_repeats, before))
    if share - usual > _MORE_REPEATS and sum(feed["distinct"]) >= _LEAST:
        text = f"the events {table} may be doubled in part: {share:.1%} of them repeat another one, {usual:.1%} before"
        yield Sign(f"events {table}: repeated", text)


def _find_late(table: str, feed: Feed, before: Sequence[Feed]) -> Iterator[Sign]:
    """No event since the newest day of which the same weekday of each week before has many.

    Where no events are that old, they are compared with those before: in doubt only a suspicion, as it may be a Sunday.
    """
    day, usual = next(((day, usual) for day in range(7) if (usual := _usual(feed, day)) >= _LEAST), (0, 0))
    has_weeks = usual > 0
    if not has_weeks:
        usual = min(one["events"][0] / max(1, _records(one)) for one in before) * _records(feed)
    comes_in_time = all(one["events"][day] >= _SOME * max(1, _usual(one, day)) for one in before)
    newest = next((day for day, events in enumerate(feed["events"]) if events > _NONE * usual), len(feed["events"]))
    if usual >= _LEAST and comes_in_time and newest > day:
        rule = f"{usual:,.0f} " + ("or more on the same weekday of the weeks before" if has_weeks else "expected")
        text = (
            f"the events {table} are late or have stopped: none, or hardly any, in the last {_say_days(newest)} before "
            f"the records' moment, {rule}. Check whether the feed has arrived"
        )
        yield Sign(late_sign(table), text, is_certain=has_weeks or _has_any_weekday(feed))


def _usual(feed: Feed, day: int) -> int:
    return min(feed["events"][day + week] for week in _WEEKS)


def _records(feed: Feed) -> int:
    return sum(feed["weekdays"])


def _has_any_weekday(feed: Feed) -> bool:
    return sum(one >= _OFTEN * _records(feed) for one in feed["weekdays"]) > _WEEKEND


def _is_doubled(feed: Feed, first: int, end: int) -> bool:
    distinct = _sum(feed, "distinct", first, end)
    return distinct >= _LEAST and _sum(feed, "odd", first, end) <= _HARDLY_ANY * distinct


def _repeats(feed: Feed) -> float:
    return 1 - sum(feed["distinct"]) / max(1, sum(feed["events"]))


def _sum(feed: Feed, what: str, first: int, end: int) -> int:
    return sum(feed[what][first:end])


def _say_span(first: int, end: int, last: int) -> str:
    if end == last:
        return "them"
    return f"those {counted(first, 'day')} old" if first else f"those of the last {_say_days(end)}"


def _say_days(days: int) -> str:
    return "day" if days == 1 else f"{days} days"
