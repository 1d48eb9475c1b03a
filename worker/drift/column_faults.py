"""Signs of a fault in one column, as opposed to other values in it: each rule returns what it saw, or nothing.

A number outside of the trained range is never such a sign, whatever its share: a higher limit or a new product brings
it. A sign is certain where no change of business makes it; anything else is a suspicion, which a person decides.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from typing import Any

import numpy as np

from db.portfolios.monitoring_policy import MonitoringPolicy
from worker.drift.column_drift import MISSING, UNSEEN, FieldFigures
from worker.drift.size_shift import Sizes, distance, moves_of, part_in_other_unit

STANDARD_ERRORS = 4.0  # a rise must also be beyond chance, whatever the number of records
FULL, NEVER_FULL = 0.99, 0.9  # nearly all records, and not so in the reference
_FEW = 0.01  # a share that a person should hear of, where there was none
_MANY = 0.5
_OTHER_UNIT = 0.9  # powers of ten that all quantiles moved by: a factor of 8
_OTHER_LEVEL, _AT_LEAST = 0.3, 0.2  # the same for a suspicion: a factor of 2 in the middle, and of 1.6 everywhere
_SAME_SHAPE = 0.2  # powers of ten between the quantiles' moves
_HARDLY_MOVED = 0.05  # distance of the sizes; no part of that size is in another unit
_FREQUENT = 3  # the first bin of one name alone


@dataclass(frozen=True)
class Sign:
    """What was seen in a column; `is_certain` if only a fault makes it.

    `about` names column and kind, and is the same every night: a person's decision holds for it.
    """

    about: str
    text: str
    is_certain: bool = False


@dataclass(frozen=True)
class Column:
    """A column's figures, its bins, and its signs on both sides.

    Signs have the number of "records" that they are of; they are empty where an older release counted.
    """

    name: str
    figures: FieldFigures
    bins: Sequence[int]
    reference_bins: Sequence[int]
    signs: Mapping[str, Any]
    reference_signs: Mapping[str, Any]

    @property
    def is_numeric(self) -> bool | None:
        """Whether it holds numbers; None if an older release counted."""
        return "sizes" in self.signs if self.signs or self.reference_signs else None

    @cached_property
    def sizes(self) -> Sizes | None:
        """How large the night's numbers are; None if nobody counted that on both sides."""
        return Sizes(self.signs["sizes"]) if "sizes" in self.signs and "sizes" in self.reference_signs else None

    @cached_property
    def reference_sizes(self) -> Sizes:
        """How large the reference's numbers are."""
        return Sizes(self.reference_signs.get("sizes", {}))

    @cached_property
    def moved(self) -> float:
        """The distance of the sizes from the reference's, from 0 to 1."""
        return 0.0 if self.sizes is None else distance(self.sizes, self.reference_sizes)

    def sign(self, kind: str, text: str, *, is_certain: bool = False) -> Sign:
        """Return a sign of this column; the text goes on after the column's name."""
        return Sign(f"{self.name}: {kind}", f"{self.name} {text}", is_certain)

    def share(self, sign: str) -> float:
        """Return the share of the night's records with a sign."""
        return self.signs.get(sign, 0) / max(1, self.signs.get("records", 0))

    def reference_share(self, sign: str) -> float:
        """Return the share of the reference's records with a sign."""
        return self.reference_signs.get(sign, 0) / max(1, self.reference_signs.get("records", 0))

    def rises(self, share: float, before: float, *, by: float) -> bool:
        """Whether a share rose by more than that, and by more than chance."""
        variance = max(share * (1 - share), before * (1 - before))
        error = sqrt(variance / self.figures.records + variance / max(1, sum(self.reference_bins)))
        return share - before > by and share - before > STANDARD_ERRORS * error


def find_column_signs(column: Column, policy: MonitoringPolicy) -> list[Sign]:
    """Return the signs of a fault in a column, the certain ones first."""
    found = list(_find_gaps(column, policy))
    if column.is_numeric is False:
        found += _find_names(column, policy)
    elif column.is_numeric:
        found += _find_units(column)
        found += _find_fillings(column, policy)
    if not any(one.is_certain for one in found):
        found += _find_constant(column)
    return sorted(found, key=lambda one: not one.is_certain)


def _find_gaps(column: Column, policy: MonitoringPolicy) -> Iterator[Sign]:
    figures = column.figures
    now, before = figures.missing, figures.missing_reference
    if column.rises(now, before, by=policy.largest_missing_rise):
        is_empty = now >= FULL and before < NEVER_FULL
        text = f"is missing in {now:.1%} of the records, {before:.1%} in the reference"
        yield column.sign("empty" if is_empty else "missing", text, is_certain=is_empty)


def _find_constant(column: Column) -> Iterator[Sign]:
    """One value in nearly all records. A range of numbers is not yet one value, which only the signs tell."""
    figures, fullest = column.figures, column.bins.index(max(column.bins))
    if figures.fullest < FULL or figures.fullest_reference >= NEVER_FULL or fullest == MISSING:
        return
    before = f"{figures.fullest_reference:.1%} in the reference"
    if column.is_numeric is None:
        yield column.sign("one value", f"holds one value or range in {figures.fullest:.1%} of the records, {before}")
    elif column.is_numeric and column.share("commonest") >= FULL:
        text = f"holds one value in {column.share('commonest'):.1%} of the records"
        yield column.sign("constant", text, is_certain=True)
    elif not column.is_numeric and fullest >= _FREQUENT:
        text = f"holds one name in {figures.fullest:.1%} of the records, {before}"
        yield column.sign("constant", text, is_certain=True)


def _find_units(column: Column) -> Iterator[Sign]:
    """Another unit of all numbers or of a part, and another sign."""
    before, now = column.reference_sizes, column.sizes
    if now is None or column.moved < _HARDLY_MOVED:
        return
    moves = sorted(moves_of(before, now))
    move = moves[len(moves) // 2] if moves else 0.0
    least = max(moves[0], -moves[-1]) if moves else 0.0  # below 0 where quantiles moved both ways
    if least >= _AT_LEAST and abs(move) >= _OTHER_LEVEL:
        is_unit = least >= _OTHER_UNIT and moves[-1] - moves[0] <= _SAME_SHAPE
        times = f"{10 ** abs(move):,.{0 if abs(move) >= 1 else 1}f} times {'larger' if move > 0 else 'smaller'}"
        text = f"is about {times} than in the reference, in every quantile: check its unit"
        yield column.sign("unit" if is_unit else "level", text, is_certain=is_unit)
    elif (part := part_in_other_unit(before, now)) is not None:
        factor, share = part
        text = f"seems to be in another unit, by a factor of {factor:g}, in {share:.1%} of the records"
        yield column.sign("unit of a part", text)
    yield from _find_negatives(column, before, now)


def _find_negatives(column: Column, before: Sizes, now: Sizes) -> Iterator[Sign]:
    are_exchanged = max(abs(now.below - before.above), abs(now.above - before.below)) <= 0.03
    excess = before.above - before.below
    text = f"is below 0 in {now.below:.1%} of the records, {before.below:.1%} in the reference"
    if excess > 0.2 and are_exchanged:
        yield column.sign("sign", text, is_certain=excess > _MANY)
    elif now.below - before.below > _MANY or (before.below < _FEW and column.rises(now.below, before.below, by=0.1)):
        yield column.sign("below 0", text)


def _find_fillings(column: Column, policy: MonitoringPolicy) -> Iterator[Sign]:
    """A number that stands for nothing, such as 0, -1 or 9999, and one value that many records share."""
    if not column.reference_signs:
        return
    zeros = column.signs["sizes"].get("0", 0) / max(1, column.signs["records"])
    zeros_before = column.reference_signs["sizes"].get("0", 0) / max(1, column.reference_signs["records"])
    fallen = column.figures.missing_reference - column.figures.missing
    has_fallen = column.rises(column.figures.missing_reference, column.figures.missing, by=_FEW)
    fillings = (
        ("0", zeros, zeros_before, policy.largest_missing_rise),
        ("a number such as -1 or 9999", column.share("placeholders"), column.reference_share("placeholders"), _FEW),
    )
    for what, now, before, bound in fillings:
        if not column.rises(now, before, by=_FEW):
            continue
        if has_fallen and now - before >= _MANY * fallen:
            text = f"seems to hold {what} where it was missing, in {now - before:.1%} of the records"
            yield column.sign(f"{what} for missing", text)
        elif now - before > bound and now > 3 * before:
            yield column.sign(what, f"is {what} in {now:.1%} of the records, {before:.1%} in the reference")
    now, before = column.share("commonest"), column.reference_share("commonest")
    if _MANY <= now < FULL and before < now / 3:
        text = f"holds one value in {now:.1%} of the records, {before:.1%} in the reference"
        yield column.sign("one value", text)


def _find_names(column: Column, policy: MonitoringPolicy) -> Iterator[Sign]:
    """Known names in another spelling, cut off or recoded, and known names that are gone."""
    rules = (
        ("respelled", "known names in another spelling", policy.largest_unseen_rise),
        ("number", "numbers where there were names", _MANY),
        ("cut", "names that are the beginning of a known one", _MANY),
    )
    seen = 0
    for sign, what, bound in rules:
        now, before = column.share(sign), column.reference_share(sign)
        if column.rises(now, before, by=_FEW):
            seen += 1
            text = f"holds {what} in {now:.1%} of the records"
            yield column.sign(sign, text, is_certain=now - before > bound)
    unseen, unseen_before = column.figures.unseen, column.figures.unseen_reference
    if unseen + column.figures.missing >= FULL and unseen >= _MANY and unseen_before < 0.1:
        text = f"holds no known name any more: names not seen in training in {unseen:.1%} of the records"
        yield column.sign("no known name", text, is_certain=True)
    elif not seen:
        yield from _find_recoded(column, unseen - unseen_before)


def _find_recoded(column: Column, newly_unseen: float) -> Iterator[Sign]:
    """A frequent name is gone and a new one has its share, or two names have exchanged theirs."""
    expected = np.asarray(column.reference_bins, dtype=np.float64) / max(1, sum(column.reference_bins))
    actual = np.asarray(column.bins, dtype=np.float64) / max(1, sum(column.bins))
    gone = [place for place in range(_FREQUENT, len(expected)) if actual[place] <= 0.02 * expected[place]]
    lost = float(expected[gone].sum())
    if lost >= 0.05 and 0.7 * lost <= newly_unseen <= 1.3 * lost:
        text = f"lost a name of {lost:.1%} of the records, and new names have that share: renamed?"
        yield column.sign("renamed", text)
    spread = np.maximum(expected * (1 - expected), actual * (1 - actual))
    errors = np.sqrt(spread * (1 / max(1, sum(column.bins)) + 1 / max(1, sum(column.reference_bins))))
    allowed = np.maximum(STANDARD_ERRORS * errors, 0.01)
    moved = np.flatnonzero(np.abs(actual - expected) > allowed)
    if len(moved) == 2 and moved.min() >= UNSEEN + 1:
        one, other = moved.tolist()
        if np.abs(actual[[one, other]] - expected[[other, one]]).max() <= allowed[[one, other]].max():
            shares = f"{expected[one]:.1%} and {expected[other]:.1%}"
            yield column.sign("exchanged names", f"holds two names that have exchanged their shares, {shares}")
