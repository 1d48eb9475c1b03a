"""Sessions as signed cookies: a random id and the public id of the key that signed in, nothing else.

At every request the database is asked whether the key is still good and the session was not signed out: revoking a key
ends all its sessions.
"""

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_address
from typing import Literal

from fastapi import Request, Response
from itsdangerous import BadData, URLSafeTimedSerializer
from itsdangerous.signer import Signer

from scheduler.api_settings import CookieRule

LIFETIME_SECONDS = 12 * 3600  # a working day
FORM_SECONDS = 3600  # how long a sign-in form stays good
_ID_BYTES = 18
_OF_PROXIES = ("x-forwarded-proto", "x-forwarded-for", "x-forwarded-host", "forwarded")


@dataclass(frozen=True)
class Session:
    """A session. `key_id` is the public part of an API key, empty before signing in."""

    id: str
    key_id: str


@dataclass(frozen=True)
class CookieKind:
    """One of the two cookies. The salt prevents mixing them up."""

    name: str
    salt: str
    path: str
    same_site: Literal["lax", "strict"]
    seconds: int


# Lax, not Strict: a link in a chat or a mail to a job's page must find its reader signed in. Lax cookies are not sent
# with other sites' POST requests, and every POST needs its token besides.
SIGNED_IN = CookieKind("tidemark_session", "tidemark.session", "/", "lax", LIFETIME_SECONDS)
SIGNING_IN = CookieKind("tidemark_form", "tidemark.form", "/sign-in", "strict", FORM_SECONDS)


class Sessions:
    """Makes and reads the cookies, and the tokens of forms. The secret is read at the first use."""

    def __init__(self, secret: Callable[[], str], cookie_rule: CookieRule = "auto") -> None:
        self._ask_secret = secret
        self._cookie_rule: CookieRule = cookie_rule

    @cached_property
    def _secret(self) -> str:
        return self._ask_secret()

    def begin(self, key_id: str) -> Session:
        """Return a new session of a key."""
        return Session(secrets.token_urlsafe(_ID_BYTES), key_id)

    def read(self, request: Request, kind: CookieKind) -> Session | None:
        """Return the session of a request; None if it has none, or one that is forged or too old."""
        cookie = request.cookies.get(kind.name)
        if cookie is None:
            return None
        try:
            session_id, key_id = self._serializer(kind).loads(cookie, max_age=kind.seconds)
        except (BadData, ValueError, TypeError):
            return None
        return Session(str(session_id), str(key_id))

    def write(self, request: Request, response: Response, session: Session, kind: CookieKind) -> None:
        """Put the session into the response's cookie, which no script can read."""
        response.set_cookie(
            kind.name,
            self._serializer(kind).dumps([session.id, session.key_id]),
            max_age=kind.seconds,
            path=kind.path,
            secure=goes_over_tls_alone(request, self._cookie_rule),
            httponly=True,
            samesite=kind.same_site,
        )

    def token_of(self, session: Session) -> str:
        """Return the token that every form of this session carries."""
        return Signer(self._secret, salt="tidemark.token").get_signature(session.id).decode()

    def is_token_of(self, session: Session, token: str) -> bool:
        """Whether a form came from a page of this session."""
        return hmac.compare_digest(self.token_of(session).encode(), token.encode(errors="replace"))

    def _serializer(self, kind: CookieKind) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(self._secret, salt=kind.salt)


def goes_over_tls_alone(request: Request, rule: CookieRule) -> bool:
    """Whether the cookies of this request's answer are `Secure`.

    With `auto` they are, except for a browser on this machine without a proxy. This must not depend on whether a proxy
    that terminates TLS is trusted.
    """
    if rule != "auto":
        return rule == "always"
    is_direct = not any(name in request.headers for name in _OF_PROXIES)
    return request.url.scheme == "https" or not (is_direct and is_loopback(request.url.hostname))


def is_loopback(host: str | None) -> bool:
    """Whether a name or an address is the machine itself.

    >>> [is_loopback(one) for one in ("localhost", "127.0.0.1", "::1", "scores.example", "127.evil.example", None)]
    [True, True, True, False, False, False]
    """
    name = (host or "").lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
