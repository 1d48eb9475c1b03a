"""Distinguishes a broken pipeline from a population shift: the canary, missing and unseen values, constant columns."""

from collections.abc import Mapping
from math import sqrt
from typing import Any

from db.portfolios.monitoring_policy import MonitoringPolicy
from worker.drift.column_drift import FieldFigures

_STANDARD_ERRORS = 4.0  # a rise must also be beyond chance, whatever the number of records
_FULL, _NEVER_FULL = 0.99, 0.9  # one bin holds nearly all records, and did not in the reference


def find_faults(
    canary: Mapping[str, Any] | None, fields: Mapping[str, FieldFigures], policy: MonitoringPolicy
) -> list[str]:
    """Return a sentence for each sign of a broken pipeline; none means that the records themselves have moved."""
    faults: list[str] = []
    if canary is not None and canary["mismatches"] and canary["largest_difference"] > policy.canary_tolerance:
        faults.append(
            f"{canary['mismatches']} of {canary['records']} canary records score differently from when the model was "
            f"made, by up to {canary['largest_difference']:.6f}"
        )
    for name, field in fields.items():
        if field.records >= policy.least_records:
            faults += _find_field_faults(name, field, policy)
    return faults


def _find_field_faults(name: str, field: FieldFigures, policy: MonitoringPolicy) -> list[str]:
    rises = (
        ("missing", field.missing, field.missing_reference, policy.largest_missing_rise),
        ("not seen in training", field.unseen, field.unseen_reference, policy.largest_unseen_rise),
    )
    faults = [
        f"{name} is {what} in {share:.1%} of the records, {before:.1%} in the reference"
        for what, share, before, bound in rises
        if share - before > bound and share - before > _STANDARD_ERRORS * _error(share, before, field.records)
    ]
    is_still = field.fullest >= _FULL and field.fullest_reference < _NEVER_FULL
    if is_still and not faults:
        before = f"{field.fullest_reference:.1%} in the reference"
        faults.append(f"{name} holds one value or range in {field.fullest:.1%} of the records, {before}")
    return faults


def _error(share: float, before: float, records: int) -> float:
    variance = max(share * (1 - share), before * (1 - before))
    return sqrt(variance / records)
