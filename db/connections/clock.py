"""The database's clock as SQL expressions: leases never depend on a worker's clock."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BindParameter, DateTime, Dialect, Float, FunctionElement, TypeDecorator, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time in UTC; SQLite has no time zones, so they are put on when reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Send UTC to the database."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Give aware values back."""
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


class now_plus(FunctionElement[datetime]):  # noqa: N801 - reads as the SQL function it stands for
    """The database's time at this statement, plus a number of seconds (may be negative)."""

    type = UtcDateTime()
    inherit_cache = True
    name = "now_plus"

    def __init__(self, seconds: float | BindParameter[float] = 0.0) -> None:
        super().__init__(literal(float(seconds), Float()) if isinstance(seconds, int | float) else seconds)


@compiles(now_plus, "postgresql")
def _now_plus_on_postgresql(element: now_plus, compiler: SQLCompiler, **options: Any) -> str:
    seconds = compiler.process(element.clauses, **options)
    return f"(clock_timestamp() + make_interval(secs => {seconds}))"


@compiles(now_plus, "sqlite")
def _now_plus_on_sqlite(element: now_plus, compiler: SQLCompiler, **options: Any) -> str:
    # Six digits after the second, as SQLAlchemy writes times: texts of one length compare as times.
    seconds = compiler.process(element.clauses, **options)
    return f"(strftime('%Y-%m-%d %H:%M:%f', 'now', {seconds} || ' seconds') || '000')"
