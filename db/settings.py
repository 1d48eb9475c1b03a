"""Where the database is."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class DatabaseSettings(BaseSettings):
    """Settings of the database, read from the environment once, in a composition root."""

    model_config = SettingsConfigDict(env_prefix="TIDEMARK_", frozen=True, env_ignore_empty=True)

    home: Path = Field(default=Path(".tidemark"), description="State folder.")
    database_url: SecretStr | None = Field(
        default=None, description="SQLAlchemy URL of SQLite or PostgreSQL; default: SQLite in the state folder."
    )

    @property
    def url(self) -> str:
        """The URL in force. It may hold a password: never log it, log `db.engine.safe_address` of it."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.home.expanduser().resolve() / 'tidemark.db'}"
