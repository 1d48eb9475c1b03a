"""What Schemathesis must know to send bodies that are neither JSON nor a form."""

from typing import Any

import schemathesis


@schemathesis.serializer("application/toml", "text/csv", "application/x-ndjson", "application/vnd.apache.parquet")
def send_as_it_is(_context: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")
