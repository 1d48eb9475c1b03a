"""Reads the analyst roles given to `tidemark database roles`."""

from collections.abc import Sequence

from db.migrations.database_roles import EVERY_ROLE
from scheduler.errors import UsageError

_LONGEST = 63  # bytes of a name in PostgreSQL


def read_analysts(given: Sequence[str]) -> dict[str, str]:
    """Return the portfolio of each role.

    >>> read_analysts(["alpha_readers=alpha"])
    {'alpha_readers': 'alpha'}
    """
    found: dict[str, str] = {}
    for one in given:
        role, _, portfolio = one.partition("=")
        if not role or not portfolio or len(role.encode()) > _LONGEST or role in found:
            raise UsageError(f"--analyst expects ROLE=PORTFOLIO, each role once, got {one!r}")
        if role in EVERY_ROLE or role.startswith("pg_"):
            raise UsageError(
                f"--analyst expects a role of its own, got {role!r}, which is reserved for Tidemark or PostgreSQL"
            )
        found[role] = portfolio
    return found
