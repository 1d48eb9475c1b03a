"""Settings of the scheduler and of the parts that it starts on this machine."""

import os
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from worker.contract.redis_address import embedded_redis_url


class SchedulerSettings(BaseSettings):
    """Read from the environment once, by the command that runs."""

    model_config = SettingsConfigDict(env_prefix="TIDEMARK_", frozen=True, env_ignore_empty=True)

    home: Path = Field(default=Path(".tidemark"), description="State folder.")
    redis_url: SecretStr | None = Field(default=None, description="Redis URL; default: the embedded server's.")
    models_url: str | None = Field(default=None, description="Where model bundles are stored; default: home/models.")
    shard_rows: int | None = Field(
        default=None,
        ge=1,
        description="Records per shard of a scoring job; default: up to 50,000 at first, 10,000 at the end.",
    )
    tick_seconds: float = Field(default=0.2, gt=0, description="Pause between two checks for work.")
    sweep_seconds: float = Field(default=5.0, gt=0, description="Pause between two sweeps for expired leases.")
    lease_seconds: float = Field(
        default=60.0, gt=0, description="The workers' lease; read here to check the sweep against it."
    )
    heartbeat_seconds: float = Field(
        default=5.0,
        gt=0,
        description="The workers' heartbeat; read here so that no worker starts with invalid settings.",
    )
    pause_seconds: float = Field(
        default=15.0, gt=0, description="Seconds before a job that paused automatically is tried again."
    )
    max_attempts: int = Field(
        default=3, ge=1, description="Number of attempts after which a shard, or the planning of a job, has failed."
    )
    planning_seconds: float = Field(
        # A view that sorts 100 million keys takes three minutes.
        default=600.0,
        gt=0,
        description="Time limit for cutting a book into shards; longer attempts are stopped and tried again later.",
    )
    schedule_grace_seconds: float = Field(
        # A restart, an update or a failover of the database takes minutes; two nights lie much further apart.
        default=300.0,
        ge=0,
        description="How late a schedule with the catch-up policy `none` may still run a due time.",
    )
    webhook_private_addresses: bool = Field(
        default=False, description="Whether webhooks may use private addresses and plain HTTP."
    )
    scoring_workers: int = Field(
        default_factory=lambda: os.cpu_count() or 1, ge=1, description="Number of scoring processes that `up` starts."
    )

    @property
    def is_redis_embedded(self) -> bool:
        """Whether Redis is the embedded server."""
        return self.redis_url is None

    @property
    def broker_url(self) -> str:
        """The Redis URL in force. It may hold a password: never log it."""
        return embedded_redis_url(self.home) if self.redis_url is None else self.redis_url.get_secret_value()

    @property
    def bundles_url(self) -> str:
        """Where model bundles live."""
        return self.models_url or str(self.state_folder / "models")

    @property
    def state_folder(self) -> Path:
        """The state folder as an absolute path."""
        return self.home.expanduser().resolve()

    @model_validator(mode="after")
    def _lease_sweep_and_heartbeat_fit(self) -> Self:
        if self.sweep_seconds > self.lease_seconds:
            raise ValueError(
                f"TIDEMARK_SWEEP_SECONDS ({self.sweep_seconds:g}) must not be longer than "
                f"TIDEMARK_LEASE_SECONDS ({self.lease_seconds:g}): only a sweep finds a lost lease"
            )
        if self.lease_seconds <= 2 * self.heartbeat_seconds:  # as the workers say, which would start again and again
            raise ValueError(
                f"TIDEMARK_LEASE_SECONDS ({self.lease_seconds:g}) must be more than twice "
                f"TIDEMARK_HEARTBEAT_SECONDS ({self.heartbeat_seconds:g})"
            )
        return self
