"""Finds columns with one value over time (balance_01 ... balance_12) and guesses which one is the oldest."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from scheduler.portfolio_files.inference.column_profiles import ColumnProfile, Floats, Guess

_SHORTEST = 3
_MONTH = re.compile(r"(.*?)[ _.-]?((?:19|20)[0-9]{2})[_.-]?(0[1-9]|1[0-2])")
_NUMBER = re.compile(r"(.*?)[ _.-]?([0-9]{1,4})")
_BACKWARD_WORD = re.compile(r"(?:^|[ _.-])(lag|ago|back|prev|previous|minus)$", re.IGNORECASE)
# Below this, neighbouring columns have no more to do with each other than any two columns: V1, V2, ... are only names.
_RELATED = 0.1
_CLEAR_DIFFERENCE = 0.01


@dataclass(frozen=True)
class HistoryGuess:
    """A proposed history: columns oldest first, and why this order was chosen."""

    name: str
    kind: Guess
    columns: tuple[str, ...]
    order_reason: str


@dataclass(frozen=True)
class Histories:
    """The proposed histories, all of one length, and remarks on columns that resemble one but stay fields."""

    proposed: tuple[HistoryGuess, ...]
    remarks: Mapping[str, str]


@dataclass(frozen=True)
class _Group:
    """Columns of one stem by rising number; `counts_months` when the numbers are years and months."""

    stem: str
    kind: Guess
    columns: tuple[ColumnProfile, ...]
    numbers: tuple[int, ...]
    counts_months: bool


def guess_histories(profiles: Sequence[ColumnProfile], target: Floats | None) -> Histories:
    """Propose histories; `target` (NaN = not known) helps to find the newest month."""
    groups, remarks = [], {}
    for group in _find_groups(profiles):
        if _is_related(group):
            groups.append(group)
        else:
            remark = "numbered, but neighbouring columns are unrelated"
            remarks |= {one.name: remark for one in group.columns}
    if not groups:
        return Histories((), remarks)
    sizes = Counter(len(group.columns) for group in groups)
    usual = max(sizes, key=lambda size: (sizes[size], size))
    for group in (one for one in groups if len(one.columns) != usual):
        remark = (
            f"could be a history of {len(group.columns)} columns, but histories need equal length; most have {usual}"
        )
        remarks |= {one.name: remark for one in group.columns}
    kept = [group for group in groups if len(group.columns) == usual]
    is_forward, reason = _guess_direction([group for group in kept if not group.counts_months], target)
    return Histories(tuple(_propose(group, reason, is_forward=is_forward) for group in kept), remarks)


def _find_groups(profiles: Sequence[ColumnProfile]) -> list[_Group]:
    by_stem: dict[str, list[tuple[int, bool, ColumnProfile]]] = {}
    for profile in profiles:
        month, number = _MONTH.fullmatch(profile.name), _NUMBER.fullmatch(profile.name)
        if month:
            position = int(month[2]) * 12 + int(month[3])
            by_stem.setdefault(_strip(month[1]), []).append((position, True, profile))
        elif number:
            by_stem.setdefault(_strip(number[1]), []).append((int(number[2]), False, profile))
    groups = [_make_group(stem, members) for stem, members in by_stem.items()]
    return [group for group in groups if group is not None]


def _strip(stem: str) -> str:
    return stem.strip(" _.-")


def _make_group(stem: str, members: list[tuple[int, bool, ColumnProfile]]) -> _Group | None:
    members.sort(key=lambda member: member[0])
    numbers = tuple(number for number, _, _ in members)
    profiles = tuple(profile for _, _, profile in members)
    # One gap is allowed: the best known credit card set counts 0, 2, 3, 4, 5, 6.
    is_run = len(set(numbers)) == len(numbers) and numbers[-1] - numbers[0] <= len(numbers)
    if len(members) < _SHORTEST or not is_run or not stem:
        return None
    if all(profile.values is not None for profile in profiles):
        kind = Guess.NUMERIC
    elif all(profile.guess is Guess.CATEGORICAL and profile.values is None for profile in profiles):
        kind = Guess.CATEGORICAL
    else:
        return None
    return _Group(stem, kind, profiles, numbers, members[0][1])


def _is_related(group: _Group) -> bool:
    """Whether neighbouring months resemble each other: median rank correlation."""
    if group.kind is Guess.CATEGORICAL:
        return True
    columns = [one.values for one in group.columns if one.values is not None]
    found = [value for value in (_rank_correlation(one, two) for one, two in pairwise(columns)) if not np.isnan(value)]
    return bool(found) and float(np.median(np.abs(found))) >= _RELATED


def _guess_direction(groups: Sequence[_Group], target: Floats | None) -> tuple[bool, str]:
    """Return whether the numbers rise with time, the same for all groups, and why."""
    for group in groups:
        if group.numbers[0] == 0:
            return False, f"{group.columns[0].name} is number 0, which usually means now"
        if _BACKWARD_WORD.search(group.stem):
            return False, f"{group.stem} has a name that counts backwards"
    if target is None:
        return True, "the file does not say; the numbers are assumed to rise with time"
    difference = sum(_newest_is_last(group, target) for group in groups)
    if abs(difference) < _CLEAR_DIFFERENCE:
        return True, "the file does not say; the numbers are assumed to rise with time"
    end = "highest" if difference > 0 else "lowest"
    return difference > 0, f"the {end} numbers predict the target best, as the newest month usually does"


def _newest_is_last(group: _Group, target: Floats) -> float:
    """Return how much better the last column predicts the target than the first one (rank correlations)."""
    first, last = group.columns[0].values, group.columns[-1].values
    if first is None or last is None:
        return 0.0
    return float(np.nan_to_num(abs(_rank_correlation(last, target)) - abs(_rank_correlation(first, target))))


def _rank_correlation(one: Floats, two: Floats) -> float:
    both = pd.DataFrame({"one": one, "two": two}).dropna().rank()
    if len(both) < 2 or both["one"].nunique() < 2 or both["two"].nunique() < 2:
        return float("nan")
    return float(both["one"].corr(both["two"]))


def _propose(group: _Group, reason: str, *, is_forward: bool) -> HistoryGuess:
    names = tuple(one.name for one in group.columns)
    if group.counts_months:
        return HistoryGuess(group.stem, group.kind, names, "the names hold year and month")
    return HistoryGuess(group.stem, group.kind, names if is_forward else names[::-1], reason)
