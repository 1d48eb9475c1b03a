"""Every table together: importing this knows them all, whichever file describes them."""

from db import api_tables, grant_tables, learning_tables, monitoring_tables, privacy_tables, schedule_tables
from db.tables import metadata

__all__ = [
    "api_tables",
    "grant_tables",
    "learning_tables",
    "metadata",
    "monitoring_tables",
    "privacy_tables",
    "schedule_tables",
]
