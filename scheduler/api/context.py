"""The context of a request: engine, settings, limits, and the caller that its key identifies."""

from dataclasses import dataclass, field
from typing import Annotated, cast

from anyio import CapacityLimiter
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from db.access.api_keys import ApiKey, find_key_in_force
from db.connections.engine import Engine
from db.ledger.job_lifecycle import Job, get_job
from db.portfolios.catalog import Portfolio, get_portfolio
from db.registry.versions import ModelVersion, get_model
from db.schema.states import KeyRole
from scheduler.api.job_watch import JobWatch
from scheduler.api.problems import Problem, not_found
from scheduler.api.rate_limits import RateLimiter
from scheduler.api.recent_keys import RecentKeys
from scheduler.api_settings import ApiSettings
from scheduler.requests.online_scoring import OnlineScoring
from scheduler.settings import SchedulerSettings

KEY_OF_SCOPE = "tidemark.key"  # where the door leaves the key that it let in
_ADVICE = "send the header Authorization: Bearer KEY; create one with: tidemark key create"


@dataclass(frozen=True)
class ApiContext:
    """What the application is built from."""

    engine: Engine
    settings: ApiSettings
    scheduler_settings: SchedulerSettings
    keys: RecentKeys
    rates: RateLimiter
    keyless_rates: RateLimiter
    online: OnlineScoring
    jobs: JobWatch
    in_flight: set[str] = field(default_factory=set)
    # Of all answers that are being sent: they wait for these, never for the threads of requests.
    watch_threads: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(2))


@dataclass(frozen=True)
class Caller:
    """The caller of a request, and what the key allows."""

    context: ApiContext
    key: ApiKey

    @property
    def engine(self) -> Engine:
        """The database."""
        return self.context.engine

    @property
    def who(self) -> str:
        """The name in the event log."""
        return f"key {self.key.public_id} ({self.key.name})"

    def has_role(self, role: KeyRole) -> bool:
        """Whether the key has this role, or one above it."""
        return self.key.role.rank >= role.rank

    def may_see(self, portfolio: str) -> bool:
        """Whether the key has access to this portfolio."""
        return self.key.reaches((portfolio,))

    def is_in_force(self) -> bool:
        """Whether the key is still valid, as of half a second ago, even during a long request."""
        return self.context.keys.is_in_force(self.key.public_id)

    def require_in_force(self) -> None:
        """Raise `Problem` (401) if the key expired or was revoked during the request."""
        if find_key_in_force(self.engine, self.key.public_id) is None:
            raise key_required("the key expired or was revoked during the request")

    @property
    def may_grant(self) -> bool:
        """Whether the key may grant sources: it must have the role admin and no portfolio limit."""
        return self.has_role(KeyRole.ADMIN) and self.key.portfolios is None

    def portfolio(self, name: str) -> Portfolio:
        """Return a portfolio that the key has access to; other portfolios do not exist for it."""
        if not self.may_see(name):
            raise not_found("portfolio", name)
        return get_portfolio(self.engine, name)

    def job(self, job_id: int) -> Job:
        """Return a job of a portfolio that the key has access to."""
        job = get_job(self.engine, job_id)
        if not self.may_see(job.portfolio):
            raise not_found("job", job_id)
        return job

    def model(self, version: str) -> ModelVersion:
        """Return a model version of a portfolio that the key has access to."""
        model = get_model(self.engine, version)
        if not self.may_see(model.portfolio):
            raise not_found("model version", version)
        return model


_bearer = HTTPBearer(auto_error=False, scheme_name="ApiKey", description="`Authorization: Bearer tdm_...`")


def context_of(request: Request) -> ApiContext:
    """Return the context of the application that serves a request."""
    return cast("ApiContext", request.app.state.context)


def _caller_with(role: KeyRole):  # noqa: ANN202 - a dependency, used below alone
    async def find_caller(
        request: Request, _credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
    ) -> Caller:
        key: ApiKey | None = request.scope.get(KEY_OF_SCOPE)
        if key is None:
            raise key_required()
        caller = Caller(context_of(request), key)
        require_role(caller, role)
        return caller

    return find_caller


def key_required(detail: str = _ADVICE) -> Problem:
    """Return the refusal for a missing or invalid key."""
    return Problem(401, "key-required", detail, headers={"WWW-Authenticate": "Bearer"})


def require_role(caller: Caller, role: KeyRole) -> None:
    """Raise `Problem` (403) if the key's role is too low."""
    if not caller.has_role(role):
        raise Problem(
            403, "not-allowed", f"this requires a key with the role {role}; this key has the role {caller.key.role}"
        )


# What a handler asks for: `caller: Reader`.
Reader = Annotated[Caller, Depends(_caller_with(KeyRole.READ))]
Operator = Annotated[Caller, Depends(_caller_with(KeyRole.OPERATE))]
Admin = Annotated[Caller, Depends(_caller_with(KeyRole.ADMIN))]
