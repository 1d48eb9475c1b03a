"""Settings of the HTTP API."""

from ipaddress import ip_network
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

CookieRule = Literal["auto", "always", "never"]


class ApiSettings(BaseSettings):
    """Read from the environment once, when the API starts."""

    model_config = SettingsConfigDict(env_prefix="TIDEMARK_", frozen=True, env_ignore_empty=True)

    home: Path = Field(default=Path(".tidemark"), description="State folder.")
    api_host: str = Field(default="127.0.0.1", description="Address the API listens on.")
    api_port: int = Field(default=8400, ge=0, le=65535, description="Port the API listens on; 0 = any free port.")
    api_body_bytes: int = Field(default=8 << 20, ge=1024, description="Largest request body, except uploads.")
    api_bodies_bytes: int = Field(
        default=64 << 20, ge=1024, description="Total bytes of request bodies held at once, except uploads."
    )
    api_body_seconds: float = Field(
        default=30.0, gt=0, description="Time limit for a request body, unless 4096 more bytes arrive every second."
    )
    api_header_seconds: float = Field(default=10.0, gt=0, description="Time limit for a request's headers.")
    api_connections: int = Field(default=2000, ge=2, description="Open connections; one address may have half of them.")
    api_keyless_per_minute: int = Field(
        default=300, ge=1, description="Requests per minute from one address without a valid key, including sign-ins."
    )
    api_trusted_proxies: str = Field(
        default="", description="Comma-separated addresses or networks of proxies whose X-Forwarded-For is trusted."
    )
    api_upload_bytes: int = Field(default=2 << 30, ge=1024, description="Largest upload of records, decompressed.")
    api_upload_rows: int = Field(default=5_000_000, ge=1, description="Largest number of records in one upload.")
    api_requests_per_minute: int = Field(default=1200, ge=1, description="Requests per minute with one key.")
    api_key_seconds: float = Field(
        default=1.0,
        ge=0,
        le=60,
        description="How long a checked key is trusted before it is looked up again; 0 = look up every time.",
    )
    api_stream_seconds: float = Field(default=600.0, gt=0, description="Longest stream of events; clients reconnect.")
    api_online_seconds: float = Field(default=10.0, gt=0, description="How long `POST /v1/score` waits for a worker.")

    cookie_secure: CookieRule = Field(
        default="auto", description="Whether browsers send the dashboard's cookies only over TLS."
    )
    dashboard_secret: SecretStr | None = Field(
        default=None,
        min_length=32,
        description="Secret that signs the dashboard's cookies; default: created in the state folder.",
    )

    @field_validator("api_trusted_proxies")
    @classmethod
    def _names_addresses(cls, text: str) -> str:
        for one in text.split(","):
            if one.strip():
                ip_network(one.strip())
        return text

    @property
    def proxies(self) -> tuple[str, ...]:
        """The proxies that are believed."""
        return tuple(one.strip() for one in self.api_trusted_proxies.split(",") if one.strip())

    @property
    def state_folder(self) -> Path:
        """The state folder as an absolute path."""
        return self.home.expanduser().resolve()
