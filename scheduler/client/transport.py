"""Sends the client's requests: turns refusals into errors, and repeats what is safe to repeat."""

import os
import threading
from pathlib import Path
from typing import Any

import httpx

from scheduler.client.local_api import LocalApi, find_local_api

ATTEMPTS = 5
LONGEST_PAUSE_SECONDS = 20.0
_AGAIN = frozenset({429, 503})
_IN_FLIGHT = "/problems/request-in-flight"


class TidemarkError(Exception):
    """The API refused a request. `type` is stable; `errors` names each mistake by its place."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        self.status = status
        self.type = str(problem.get("type", ""))
        self.detail = str(problem.get("detail", ""))
        self.errors: list[dict[str, str]] = list(problem.get("errors") or [])
        places = "; ".join(
            f"{one.get('pointer') or one.get('parameter') or one.get('header')}: {one['detail']}" for one in self.errors
        )
        super().__init__(f"{status} {self.type}: {self.detail}{f' ({places})' if places else ''}")


class Transport:
    """Sends requests and waits where the API asks for it."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self._pause = threading.Event()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def send(self, method: str, path: str, *, is_safe: bool = True, **options: Any) -> httpx.Response:
        """Send a request and return its answer; `is_safe` means that it may be repeated. Raises `TidemarkError`."""
        for attempt in range(1, ATTEMPTS + 1):
            may_repeat = is_safe and attempt < ATTEMPTS
            try:
                answer = self._client.request(method, path, **options)
            except httpx.TransportError:
                if not may_repeat or (method != "GET" and "Idempotency-Key" not in options.get("headers", {})):
                    raise
                self._pause.wait(0.2 * 2**attempt)
                continue
            if answer.is_success:
                return answer
            problem = _problem_of(answer)
            if not may_repeat or not (answer.status_code in _AGAIN or problem.get("type") == _IN_FLIGHT):
                raise TidemarkError(answer.status_code, problem)
            self._pause.wait(min(float(answer.headers.get("Retry-After", 1)), LONGEST_PAUSE_SECONDS))
        raise AssertionError("the last attempt returns or raises")


def local_address() -> LocalApi:
    """Return the address and key of the API of this machine's state folder. Raises `ConnectionError`."""
    home = Path(os.environ.get("TIDEMARK_HOME") or ".tidemark").expanduser().resolve()
    found = find_local_api(home)
    if found is None:
        raise ConnectionError(
            f"no API is running in {home}; start it with: tidemark up (or give Tidemark a URL and a key)"
        )
    return found


def _problem_of(answer: httpx.Response) -> dict[str, Any]:
    try:
        document = answer.json()
    except ValueError:
        return {"detail": answer.reason_phrase}
    return document if isinstance(document, dict) else {"detail": answer.reason_phrase}
