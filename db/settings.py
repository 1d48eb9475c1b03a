"""Where the database is."""

from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class DatabaseSettings(BaseSettings):
    """Settings of the database, read from the environment once, in a composition root."""

    model_config = SettingsConfigDict(env_prefix="TIDEMARK_", frozen=True, env_ignore_empty=True)

    home: Path = Field(default=Path(".tidemark"), description="State folder.")
    database_url: SecretStr | None = Field(
        default=None,
        description="SQLAlchemy URL of a SQLite or PostgreSQL database; default: SQLite in the state folder.",
    )

    key_secret: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="Secret for portfolios that store keys as hashes; the same on every host, permanently.",
    )

    @property
    def key_secret_text(self) -> str | None:
        """The secret in force, None if there is none. Never log it."""
        return None if self.key_secret is None else self.key_secret.get_secret_value()

    @property
    def url(self) -> str:
        """The URL in force. It may hold a password: never log it, log `db.connections.engine.safe_address` of it."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.home.expanduser().resolve() / 'tidemark.db'}"


def describe_invalid_settings(error: ValidationError) -> str:
    """Return one line that names each wrong setting, what was expected, and what came (never of a secret)."""
    return "; ".join(describe_each_invalid_setting(error))


def describe_each_invalid_setting(error: ValidationError) -> list[str]:
    """Return the same as one text for each wrong setting."""
    return [_describe_one(dict(one)) for one in error.errors(include_url=False)]


def _describe_one(problem: dict[str, Any]) -> str:
    message = str(problem["msg"]).removeprefix("Value error, ")
    if not problem["loc"]:  # about several settings at once; the message names them
        return message
    name = f"TIDEMARK_{problem['loc'][0]}".upper()
    came = "" if name.endswith(("_URL", "_SECRET")) else f", got {problem['input']!r}"
    return f"{name}: {message[:1].lower()}{message[1:]}{came}"
