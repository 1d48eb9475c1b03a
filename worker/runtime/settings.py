"""Settings of a worker process."""

import os
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from worker.contract.messages import TRAINING_QUEUE
from worker.contract.redis_address import embedded_redis_url


class WorkerSettings(BaseSettings):
    """Read from the environment once, when the worker starts."""

    model_config = SettingsConfigDict(env_prefix="TIDEMARK_", frozen=True, env_ignore_empty=True)

    home: Path = Field(default=Path(".tidemark"), description="State folder.")
    redis_url: SecretStr | None = Field(default=None, description="Redis URL; default: the embedded server's.")
    models_url: str | None = Field(default=None, description="Where model bundles are stored; default: home/models.")
    lease_seconds: float = Field(
        default=60.0, gt=0, description="A worker without a heartbeat for this long loses its shard."
    )
    training_lease_seconds: float = Field(
        default=120.0, gt=0, description="The same for training, which sends no heartbeat while a network is prepared."
    )
    heartbeat_seconds: float = Field(default=5.0, gt=0, description="How often a working shard renews its lease.")
    max_attempts: int = Field(default=3, ge=1, description="Number of attempts after which a shard has failed.")
    lost_after_seconds: float = Field(
        default=60.0, gt=5, description="A worker exits if it cannot reach Redis or the database for this long."
    )
    overlap: bool = Field(
        default=True,
        description="Read the next shard and write the previous one while scoring; false: one step at a time.",
    )
    oldest_first_every: int = Field(
        default=8, ge=0, description="Once in this many claims a worker takes the oldest job's next shard; 0: never."
    )
    retry_delay_seconds: float = Field(
        default=2.0, ge=0, description="Pause after an error, doubled after each further one."
    )
    pause_seconds: float = Field(
        default=15.0, gt=0, description="Seconds before a job that paused automatically is tried again."
    )
    training_memory_mb: int = Field(
        default=1000, ge=0, description="A book larger than this many megabytes is kept in a file during training."
    )
    scratch_folder: Path | None = Field(
        default=None, description="Folder on a disk for such a file; default: home/scratch."
    )
    cores: int = Field(
        default_factory=lambda: os.cpu_count() or 1, ge=1, description="Cores shared by the worker's child processes."
    )

    @property
    def broker_url(self) -> str:
        """The Redis URL in force. It may hold a password: never log it."""
        return embedded_redis_url(self.home) if self.redis_url is None else self.redis_url.get_secret_value()

    @property
    def bundles_url(self) -> str:
        """Where model bundles are stored."""
        return self.models_url or str(self.home.expanduser().resolve() / "models")

    @property
    def scratch(self) -> Path:
        """Where temporary files of a process are stored."""
        return self.scratch_folder or self.home.expanduser().resolve() / "scratch"

    def lease_of(self, queue: str) -> float:
        """Seconds of a lease on the shards of a queue."""
        return self.training_lease_seconds if queue == TRAINING_QUEUE else self.lease_seconds

    @model_validator(mode="after")
    def _lease_outlives_two_heartbeats(self) -> Self:
        for name in ("lease_seconds", "training_lease_seconds"):
            seconds = getattr(self, name)
            if seconds <= 2 * self.heartbeat_seconds:
                raise ValueError(
                    f"TIDEMARK_{name.upper()} ({seconds:g}) must be more than twice "
                    f"TIDEMARK_HEARTBEAT_SECONDS ({self.heartbeat_seconds:g})"
                )
        return self
