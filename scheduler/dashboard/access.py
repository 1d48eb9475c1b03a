"""The visitor of a page or sender of a form: the caller that the session's key identifies, with the API's rules."""

import secrets
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Form, Request

from db.access.api_keys import find_key_in_force
from db.access.ended_sessions import is_session_ended
from db.schema.states import KeyRole
from scheduler.api.context import Caller, context_of, require_role
from scheduler.api.problems import Problem
from scheduler.dashboard.sessions import SIGNED_IN, Session, Sessions

_OWN_SITES = {"same-origin", "none"}


@dataclass(frozen=True)
class Visitor:
    """A caller with its session."""

    caller: Caller
    session: Session
    token: str

    def may(self, role: str) -> bool:
        """Whether the key has this role, or one above it."""
        return self.caller.has_role(KeyRole(role))

    def fresh_name(self) -> str:
        """Return an id for a form: sent twice, it takes effect once."""
        return secrets.token_urlsafe(12)


def sessions_of(request: Request) -> Sessions:
    """Return the sessions of the application that serves a request."""
    return cast("Sessions", request.app.state.sessions)


def find_visitor(request: Request) -> Visitor:
    """Return the visitor of a page. Raises `Problem` (401), which leads to the sign-in page."""
    context, sessions = context_of(request), sessions_of(request)
    session = sessions.read(request, SIGNED_IN)
    key = None if session is None else find_key_in_force(context.engine, session.key_id)
    if session is None or key is None or is_session_ended(context.engine, session.id):
        raise Problem(401, "key-required", "sign in with an API key")
    context.rates.take(key.public_id)
    return Visitor(Caller(context, key), session, sessions.token_of(session))


def check_origin(request: Request) -> None:
    """Refuse a form from another site. Browsers send the origin of a request, and no page can change it."""
    if request.headers.get("sec-fetch-site", "none") not in _OWN_SITES:
        raise Problem(403, "not-allowed", "this form was sent by another site")


Reader = Annotated[Visitor, Depends(find_visitor)]


def _sender_with(role: KeyRole):  # noqa: ANN202 - a dependency, used below alone
    def find_sender(request: Request, visitor: Reader, token: Annotated[str, Form(max_length=200)] = "") -> Visitor:
        check_origin(request)
        if not sessions_of(request).is_token_of(visitor.session, token):
            raise Problem(403, "not-allowed", "this form is not from your session; reload the page")
        require_role(visitor.caller, role)
        return visitor

    return find_sender


# What a handler of a form asks for. Looking up is a form too where an address would hold the key of a person.
Sender = Annotated[Visitor, Depends(_sender_with(KeyRole.READ))]
Operator = Annotated[Visitor, Depends(_sender_with(KeyRole.OPERATE))]
Admin = Annotated[Visitor, Depends(_sender_with(KeyRole.ADMIN))]
