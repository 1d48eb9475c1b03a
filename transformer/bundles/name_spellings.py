"""Tells names that are a known one in another spelling, cut off, or numbers where there were none."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_LEAST_LETTERS = 3  # of a name that was cut off
_MOST_LENGTH = 200
_MOST_NEW_NAMES = 2000  # of a part: the commonest are looked at, as a column of free text has a new one in every record


@dataclass(frozen=True)
class Spellings:
    """The names of a column that a model knows."""

    known: tuple[str, ...]

    def count(self, names: NDArray[np.object_]) -> dict[str, int]:
        """Return how many records hold a respelled name, one that was cut off, and a number; zeros are left out."""
        held = pd.Series(names, dtype="object").value_counts()
        new = held[~held.index.isin(self.known)].head(_MOST_NEW_NAMES)
        counts: dict[str, int] = {}
        for name, records in new.items():
            kind = self.kind_of(str(name))
            if kind is not None:
                counts[kind] = counts.get(kind, 0) + int(records)
        return counts

    def kind_of(self, name: str) -> str | None:
        """Return "respelled", "cut", "number", or None for a known name and for one that is merely new.

        >>> [Spellings(("Car loan", "Düren")).kind_of(name) for name in ("CAR_LOAN", "DÃ¼ren", "Car", "7", "Boat")]
        ['respelled', 'respelled', 'cut', 'number', None]
        """
        if name in self._names:
            return None
        if any(spelling in self._plain for spelling in plain_spellings(name)):
            return "respelled"
        if not self._holds_numbers and _is_number(name):
            return "number"
        return "cut" if name in self._beginnings else None

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(self.known)

    @cached_property
    def _plain(self) -> frozenset[str]:
        return frozenset(spelling for name in self.known for spelling in plain_spellings(name))

    @cached_property
    def _beginnings(self) -> frozenset[str]:
        return frozenset(name[:end] for name in self.known for end in range(_LEAST_LETTERS, len(name)))

    @cached_property
    def _holds_numbers(self) -> bool:
        return any(map(_is_number, self.known))


def plain_spellings(name: str) -> Iterable[str]:
    """Return the name without case, accents, blanks and punctuation; of one in a wrong encoding, also the right one."""
    found = {_plain(name)}
    for wrong in ("latin-1", "cp1252"):
        try:
            found.add(_plain(name.encode(wrong).decode("utf-8")))
        except UnicodeError:
            continue
    return found - {""}


def _plain(name: str) -> str:
    letters = unicodedata.normalize("NFKD", name[:_MOST_LENGTH]).casefold()
    plain = "".join(letter for letter in letters if letter.isalnum())
    return plain.lstrip("0") if plain.isdigit() else plain


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
