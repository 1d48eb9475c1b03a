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
    api_host: str = Field(default="127.0.0.1", description="Address that the API listens on.")
    api_port: int = Field(default=8400, ge=0, le=65535, description="Its port; 0 = any free one.")
    api_body_bytes: int = Field(default=8 << 20, ge=1024, description="Largest body of a request but for uploads.")
    api_bodies_bytes: int = Field(
        default=64 << 20, ge=1024, description="Bytes of all bodies, but for uploads, that are held at once."
    )
    api_body_seconds: float = Field(
        default=30.0, gt=0, description="Within this a body must come, or 4096 more bytes every second."
    )
    api_header_seconds: float = Field(default=10.0, gt=0, description="Within this a request's headers must come.")
    api_connections: int = Field(default=2000, ge=2, description="Open connections; one address may have half of them.")
    api_keyless_per_minute: int = Field(
        default=300, ge=1, description="Requests of one address without a good key in a minute; sign-ins count too."
    )
    api_trusted_proxies: str = Field(
        default="", description="Addresses or networks of proxies whose X-Forwarded-For is believed, by commas."
    )
    api_upload_bytes: int = Field(default=2 << 30, ge=1024, description="Largest upload of records, unpacked.")
    api_upload_rows: int = Field(default=5_000_000, ge=1, description="Most records of one upload.")
    api_requests_per_minute: int = Field(default=1200, ge=1, description="Requests of one key in a minute.")
    api_key_seconds: float = Field(
        default=1.0, ge=0, le=60, description="How long a key that was checked is not looked up again; 0 = never so."
    )
    api_stream_seconds: float = Field(default=600.0, gt=0, description="Longest stream of events; clients reconnect.")
    api_online_seconds: float = Field(default=10.0, gt=0, description="How long `POST /v1/score` waits for a worker.")

    cookie_secure: CookieRule = Field(
        default="auto", description="Whether browsers send the dashboard's cookies over TLS alone."
    )
    dashboard_secret: SecretStr | None = Field(
        default=None, min_length=32, description="Signs the dashboard's cookies; default: made in the state folder."
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
