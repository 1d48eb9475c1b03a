"""Writes a proposed event table: TOML with a comment that gives the reason for each guess."""

from collections.abc import Iterator

from db.events.wording import counted
from scheduler.portfolio_files.inference.column_profiles import Guess
from scheduler.portfolio_files.inference.events_guessing import EventsGuess
from scheduler.portfolio_files.inference.toml_writing import write_codes
from scheduler.portfolio_files.problems import dotted, toml_text

_MOST_DAYS = 730


def write_events(guess: EventsGuess, record_key: str) -> str:
    """Return the sections of one event table; columns that are left out are comments."""
    path = ("events", guess.name)
    lines = [
        f"[{dotted(path)}]  # from {toml_text(guess.file_name)[1:-1]}: {guess.per_record:.1f} rows for each key in it",
        f"source = {toml_text(guess.name)}  # SQL table or view that holds the events",
        f"key = {toml_text(guess.key)}  # {_tell_key(guess, record_key)}",
        f"at = {toml_text(guess.at)}  # {_tell_time(guess)}",
    ]
    if guess.type is not None:
        lines.append(f"type = {toml_text(guess.type)}  # what happened")
    lines.append(f'# window = "{_MOST_DAYS} days"  # only so far back; the events span {counted(_days(guess), "day")}')
    return "\n".join([*lines, "", *_write_fields(guess)])


def _days(guess: EventsGuess) -> int:
    return round(guess.span_days)


def _tell_key(guess: EventsGuess, record_key: str) -> str:
    named = "named as the records' key" if guess.key.casefold() == record_key.casefold() else "by its values"
    rest = (
        "" if guess.known_keys >= 1 else f"; WARNING: {1 - guess.known_keys:.2%} of the rows are of no record in DATA"
    )
    return f"{named}{rest}"


def _tell_time(guess: EventsGuess) -> str:
    if not guess.unreadable_times:
        return "a time in each row examined; without a zone it is UTC"
    return f"WARNING: {guess.unreadable_times / guess.rows:.2%} of the rows have none; they are not loaded"


def _write_fields(guess: EventsGuess) -> Iterator[str]:
    for profile in guess.profiles:
        header = f"[{dotted(('events', guess.name, 'fields', profile.name))}]"
        if profile.guess is Guess.LEFT_OUT:
            kind = Guess.CATEGORICAL if profile.values is None else Guess.NUMERIC
            yield f'# {header}  # left out: {profile.reason}\n# kind = "{kind}"\n'
        else:
            yield f'{header}  # {profile.reason}\nkind = "{profile.guess}"\n{write_codes(profile.guess, [profile])}'
