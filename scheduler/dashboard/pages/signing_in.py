"""`/sign-in`, `/sign-out`: an API key is exchanged for a session cookie."""

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from db.access.api_keys import check_key, record_session
from db.access.ended_sessions import end_session
from scheduler.api.context import Caller, context_of
from scheduler.api.problems import Problem
from scheduler.dashboard.access import Sender, check_origin, sessions_of
from scheduler.dashboard.refusals import SIGN_IN
from scheduler.dashboard.rendering import pages_of
from scheduler.dashboard.sessions import SIGNED_IN, SIGNING_IN

router = APIRouter()

_LONGEST = 300  # characters of a key or a path
_NO_COOKIE = (
    "this form has expired, or your browser keeps no cookies; reload the page. Over plain HTTP a browser keeps none "
    "unless the address is this machine's own: put TLS before it, or set TIDEMARK_COOKIE_SECURE=never"
)
_Next = Annotated[str, Query(max_length=_LONGEST)]


@router.get(SIGN_IN)
def show_form(request: Request, next: _Next = "/") -> HTMLResponse:  # noqa: A002 - the name in the address
    """Show the form."""
    return _show_form(request, next)


@router.post(SIGN_IN)
def sign_in(
    request: Request,
    key: Annotated[str, Form(max_length=_LONGEST)] = "",
    token: Annotated[str, Form(max_length=_LONGEST)] = "",
    next: Annotated[str, Form(max_length=_LONGEST)] = "/",  # noqa: A002 - the name in the form
) -> Response:
    """Check the key and begin a session; a form that was not loaded from this site is refused."""
    check_origin(request)
    context, sessions = context_of(request), sessions_of(request)
    context.rates.take(f"sign-in from {request.client.host if request.client else 'nowhere'}")
    asked = sessions.read(request, SIGNING_IN)
    if asked is None or not sessions.is_token_of(asked, token):
        raise Problem(403, "not-allowed", _NO_COOKIE)
    found = check_key(context.engine, key.strip())
    if found is None:
        return _show_form(request, next, wrong=True)
    record_session(context.engine, found, "signed_in", who=Caller(context, found).who)
    response = RedirectResponse(own_path(next), 303)
    sessions.write(request, response, sessions.begin(found.public_id), SIGNED_IN)
    response.delete_cookie(SIGNING_IN.name, path=SIGNING_IN.path)
    return response


@router.post("/sign-out")
def sign_out(visitor: Sender) -> Response:
    """End the session, in every browser that has its cookie."""
    end_session(visitor.caller.engine, visitor.session.id, lifetime_seconds=SIGNED_IN.seconds)
    record_session(visitor.caller.engine, visitor.caller.key, "signed_out", who=visitor.caller.who)
    response = RedirectResponse(SIGN_IN, 303)
    response.delete_cookie(SIGNED_IN.name, path=SIGNED_IN.path)
    return response


def own_path(wanted: str) -> str:
    r"""Return where to go after signing in: a path of this site, never another site.

    >>> [own_path(one) for one in ("/jobs/2", "//evil.example", "/\\evil.example", "https://evil.example", "/a\tb")]
    ['/jobs/2', '/', '/', '/', '/']
    """
    is_own = wanted.startswith("/") and not wanted.startswith("//") and "\\" not in wanted and wanted.isprintable()
    return wanted if is_own else "/"


def _show_form(request: Request, wanted: str, *, wrong: bool = False) -> HTMLResponse:
    sessions = sessions_of(request)
    session = sessions.read(request, SIGNING_IN) or sessions.begin("")
    values = {"token": sessions.token_of(session), "next": own_path(wanted), "wrong": wrong}
    response = HTMLResponse(pages_of(request).render("sign_in.html", values), 401 if wrong else 200)
    sessions.write(request, response, session, SIGNING_IN)
    return response
