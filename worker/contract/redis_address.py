"""The address of a state folder's embedded Redis. Uses only the standard library, because both floors compute it."""

import hashlib
import os
import tempfile
from pathlib import Path
from urllib.parse import quote, urlsplit

_LONGEST_SOCKET_PATH = 100  # the kernel allows about 107 bytes


def embedded_socket_path(home: Path) -> Path:
    """Return the Unix socket of the embedded server; its path is short even for a long state folder."""
    resolved = str(home.expanduser().resolve())
    name = hashlib.sha256(resolved.encode()).hexdigest()[:12]
    user = os.getuid() if hasattr(os, "getuid") else 0
    path = Path(tempfile.gettempdir()) / f"tidemark-{user}" / name / "redis.sock"
    if len(os.fsencode(path)) > _LONGEST_SOCKET_PATH:
        path = Path("/tmp") / f"tidemark-{user}" / name / "redis.sock"  # noqa: S108 - the folder is made private
    return path


def embedded_redis_url(home: Path) -> str:
    """Return the Celery URL of the embedded server."""
    return f"redis+socket://{quote(str(embedded_socket_path(home)))}?virtual_host=0"


def client_url(broker_url: str) -> str:
    """Return the URL under which redis-py finds the server of a Celery URL.

    >>> client_url("redis+socket:///tmp/x/redis.sock?virtual_host=0")
    'unix:///tmp/x/redis.sock?db=0'
    >>> client_url("redis://redis.example:6379/0")
    'redis://redis.example:6379/0'
    """
    if not broker_url.startswith("redis+socket:"):
        return broker_url
    return f"unix://{urlsplit(broker_url).path}?db=0"
