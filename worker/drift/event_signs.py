"""Signs in fields made of events, as one sign for each table: a feed that stops changes all of them at once."""

from collections.abc import Collection, Sequence

from db.events.wording import counted
from worker.drift.column_faults import Sign

SHOWN = 2  # signs of a table that are told in full


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
