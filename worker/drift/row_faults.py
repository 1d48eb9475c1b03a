"""Signs of a fault in the rows of a night: rows missing, every record twice, keys in another form, keys repeated.

A book of customers holds most of last night's keys again; one of applications holds new ones every night, and says
nothing here. All of these are suspicions: a book may be sold, or bought.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from worker.drift.column_faults import Sign

Counts = Mapping[str, Any]

_MOST, _HARDLY_ANY = 0.5, 0.1  # shares of keys that were there the night before
_TOO_FEW = 0.75  # of the night before
_TWICE = 0.02  # how far the number of new keys may be from the number of known ones
_REPEATED, _UNREADABLE = 0.01, 0.01


def find_row_signs(night: Counts, previous: Counts | None, *, least_records: int) -> list[Sign]:
    """Return the suspicions about rows and keys."""
    scored = sum(night["points"].values())
    found = list(_find_repeated_keys(night, scored))
    if previous is None or min(scored, before := sum(previous["points"].values())) < least_records:
        return found
    known, known_before = (_matched(one) for one in (night, previous))
    found += _find_moved_keys(scored, before, known, known_before)
    rows, rows_before = (count + (one.get("unscorable") or 0) for count, one in ((scored, night), (before, previous)))
    if known >= _MOST * scored and rows < _TOO_FEW * rows_before:
        text = f"rows may be missing: {rows:,} records, {rows_before:,} the night before"
        found.append(Sign("rows: missing", text))
    return found


def _find_moved_keys(scored: int, before: int, known: int, known_before: int) -> Iterator[Sign]:
    new = scored - known
    if known >= (1 - _TWICE) * before and abs(new - before) <= _TWICE * before:
        text = f"keys may be doubled: {known:,} records of the night before, and {new:,} with new keys"
        yield Sign("keys: doubled", text)
    elif known_before >= _MOST * before and known <= _HARDLY_ANY * min(scored, before):
        text = f"keys may have another form: {known:,} of {before:,} keys of the night before came again"
        yield Sign("keys: another form", text)


def _find_repeated_keys(night: Counts, scored: int) -> Iterator[Sign]:
    rejects: Counts = ((night.get("fields") or {}).get("tidemark_signs") or {}).get("rejects") or {}
    read = max(1, scored + (night.get("unscorable") or 0))
    repeated = sum((rejects.get("duplicate_key") or {}).values())
    if repeated > _REPEATED * read:
        yield Sign("keys: repeated", f"keys are repeated in {repeated:,} of {read:,} records")
    for column, records in (rejects.get("not_a_number") or {}).items():
        if records > _UNREADABLE * read:
            text = f"{column} holds text where numbers were, in {records:,} of {read:,} records"
            yield Sign(f"{column}: text", text)


def _matched(night: Counts) -> int:
    return sum(sum(row.values()) for row in (night.get("migration") or {}).values())
