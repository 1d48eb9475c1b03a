"""Distinguishes a broken pipeline from a change of business: what is certain, and what a person has to decide.

The canary, an empty or constant column, another unit and another spelling are faults' own signatures. Whatever else
looks like a fault is a suspicion. Values outside of the trained range are neither: they are drift.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

from db.portfolios.monitoring_policy import MonitoringPolicy
from worker.drift.column_drift import FieldFigures
from worker.drift.column_faults import STANDARD_ERRORS, Column, Sign, find_column_signs
from worker.drift.event_signs import find_feed_signs, merge_event_signs
from worker.drift.row_faults import find_row_signs
from worker.drift.size_shift import distance

Counts = Mapping[str, Any]

SIGNS = "tidemark_signs"  # among the columns' bins; see `transformer.bundles.column_signs`
CANARY = "canary"
_MOVED_FAR, _ALIKE = 0.5, 0.1  # distances of sizes
_OUTSIDE = 0.5  # share of two exchanged columns' records beyond the trained range, on opposite sides
_USUALLY_EQUAL = 0.5  # of two columns that no shard noted


@dataclass(frozen=True)
class PipelineSigns:
    """A sentence for each sign, by what it is about: `faults` are certain, `suspicions` are for a person to decide."""

    faults: dict[str, str]
    suspicions: dict[str, str]

    def without(self, settled: Collection[str]) -> "PipelineSigns":
        """Return the signs about which no person has decided that they are honest; the canary is never settled."""
        kept = [
            {about: text for about, text in one.items() if about == CANARY or about not in settled}
            for one in (self.faults, self.suspicions)
        ]
        return PipelineSigns(*kept)


def find_signs(
    night: Counts,
    reference: Counts,
    previous: Counts | None,
    fields: Mapping[str, FieldFigures],
    policy: MonitoringPolicy,
    event_tables: Collection[str] = (),
) -> PipelineSigns:
    """Return what looks like a broken pipeline; nothing if the records themselves have moved."""
    columns = [one for one in _columns_of(night, reference, fields) if one.figures.records >= policy.least_records]
    signs = [*_find_canary(night.get("canary"), policy)]
    signs += [sign for column in columns for sign in find_column_signs(column, policy)]
    signs += _find_exchanged(columns)
    signs += _find_equal(_signs_of(night), _signs_of(reference), policy)
    signs += find_row_signs(night, previous, least_records=policy.least_records)
    signs = merge_event_signs(signs, event_tables)
    signs += find_feed_signs(_feeds_of(night), [_feeds_of(one) for one in (reference, previous) if one])
    faults, suspicions = ({one.about: one.text for one in signs if one.is_certain is kind} for kind in (True, False))
    return PipelineSigns(faults, suspicions)


def tell_unseen(fields: Mapping[str, FieldFigures], policy: MonitoringPolicy) -> list[str]:
    """Return a sentence for each column with many values that were not seen in training: drift, and no fault."""
    return [
        f"{name} is not seen in training in {one.unseen:.1%} of the records, "
        f"{one.unseen_reference:.1%} in the reference"
        for name, one in fields.items()
        if one.records >= policy.least_records
        and one.unseen - one.unseen_reference > max(policy.largest_unseen_rise, STANDARD_ERRORS * _error(one))
    ]


def _error(one: FieldFigures) -> float:
    variance = max(one.unseen * (1 - one.unseen), one.unseen_reference * (1 - one.unseen_reference))
    return sqrt(variance / one.records)


def _find_canary(canary: Mapping[str, Any] | None, policy: MonitoringPolicy) -> Iterator[Sign]:
    if canary is None or not canary["mismatches"] or canary["largest_difference"] <= policy.canary_tolerance:
        return
    text = (
        f"{canary['mismatches']} of {canary['records']} canary records score differently from when the model was "
        f"made, by up to {canary['largest_difference']:.6f}"
    )
    yield Sign(CANARY, text, is_certain=True)


def _signs_of(counts: Counts) -> Counts:
    return (counts.get("fields") or {}).get(SIGNS) or {}


def _feeds_of(counts: Counts) -> Counts:
    return _signs_of(counts).get("events") or {}


def _columns_of(night: Counts, reference: Counts, fields: Mapping[str, FieldFigures]) -> Iterator[Column]:
    bins, reference_bins = night.get("fields") or {}, reference.get("fields") or {}
    sides = [(one.get("columns") or {}, one.get("records", 0)) for one in (_signs_of(night), _signs_of(reference))]
    for name, figures in fields.items():
        signs = [columns[name] | {"records": records} if name in columns else {} for columns, records in sides]
        yield Column(name, figures, bins[name], reference_bins[name], *signs)


def _find_exchanged(columns: Sequence[Column]) -> list[Sign]:
    """Columns whose numbers look like another one's, and pairs that left their ranges on opposite sides."""
    known = [one for one in columns if one.sizes is not None]
    found: list[Sign] = []
    for column in known:
        if column.sizes is None or column.moved < _MOVED_FAR or len(known) < 2:
            continue
        distances = {one.name: distance(column.sizes, one.reference_sizes) for one in known if one is not column}
        nearest = min(distances, key=distances.__getitem__)
        if distances[nearest] <= _ALIKE:
            found.append(
                column.sign("another column", f"looks like {nearest} in the reference: check the order of columns")
            )
    low = [one.name for one in known if one.share("below") >= _OUTSIDE]
    high = [one.name for one in known if one.share("above") >= _OUTSIDE]
    if len(low) == len(high) == 1 and not found:
        text = f"{low[0]} is below its trained range and {high[0]} above: check whether they are exchanged"
        found.append(Sign(f"{low[0]}, {high[0]}: exchanged", text))
    return found


def _find_equal(night: Counts, reference: Counts, policy: MonitoringPolicy) -> list[Sign]:
    """Two columns that hold the same in every record, and did not."""
    found: list[Sign] = []
    for name, others in (night.get("equal") or {}).items() if night.get("compared", 0) >= policy.least_records else ():
        for other, (equal, compared) in others.items():
            agreed, of = ((reference.get("equal") or {}).get(name) or {}).get(other) or (_USUALLY_EQUAL, 1)
            differing = compared * (1 - agreed / max(1, of))
            if (
                reference
                and 2 * compared >= night["compared"]
                and equal == compared
                and differing >= STANDARD_ERRORS**2
            ):
                text = f"{name} and {other} hold the same in every record, and did not in the reference"
                found.append(Sign(f"{name}, {other}: equal", text))
    return found
