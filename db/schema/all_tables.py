"""Imports every table, whichever file describes it."""

from db.schema import (
    api_tables,
    grant_tables,
    model_tables,
    monitoring_tables,
    privacy_tables,
    retraining_tables,
    schedule_tables,
)
from db.schema.core_tables import metadata

__all__ = [
    "api_tables",
    "grant_tables",
    "metadata",
    "model_tables",
    "monitoring_tables",
    "privacy_tables",
    "retraining_tables",
    "schedule_tables",
]
