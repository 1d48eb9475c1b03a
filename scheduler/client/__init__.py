"""The Python client of the HTTP API."""

from scheduler.client.jobs import Job
from scheduler.client.tidemark import Tidemark, TrainingOptions
from scheduler.client.transport import TidemarkError

__all__ = ["Job", "Tidemark", "TidemarkError", "TrainingOptions"]
