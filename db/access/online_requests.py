"""Online requests: their records are stored for a worker, answered in the same row, and deleted with the answer."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, delete, insert, select, update

from db.connections.clock import now_plus
from db.connections.engine import reading, writing_lightly
from db.schema.api_tables import online_requests

_IDS_AT_ONCE = 1000  # an old SQLite accepts no more parameters


@dataclass(frozen=True)
class OnlineRequest:
    """Records of one request, as JSON, and the portfolio whose champion scores them."""

    portfolio: str
    records: str


def store_request(engine: Engine, portfolio: str, records: str, *, seconds: float) -> str:
    """Store the records for that many seconds and return the request's id."""
    request_id = secrets.token_hex(16)
    values = {"id": request_id, "portfolio": portfolio, "records": records, "expires_at": now_plus(seconds)}
    with writing_lightly(engine) as connection:
        connection.execute(insert(online_requests).values(**values))
    return request_id


def find_request(engine: Engine, request_id: str) -> OnlineRequest | None:
    """Return a request that waits for its answer; None if it was answered, given up, or is over."""
    columns = (online_requests.c.portfolio, online_requests.c.records)
    is_waiting = (online_requests.c.records.is_not(None), online_requests.c.expires_at > now_plus())
    with reading(engine) as connection:
        row = connection.execute(select(*columns).where(online_requests.c.id == request_id, *is_waiting)).one_or_none()
    return None if row is None else OnlineRequest(*row)


def store_answer(engine: Engine, request_id: str, answer: str) -> bool:
    """Replace the records by the answer; return False if another worker was first or no client is waiting."""
    is_waiting = (online_requests.c.id == request_id, online_requests.c.answer.is_(None))
    with writing_lightly(engine) as connection:
        answered = update(online_requests).where(*is_waiting).values(records=None, answer=answer)
        return connection.execute(answered).rowcount == 1


def find_answer(engine: Engine, request_id: str) -> str | None:
    """Return the answer; None if there is none yet."""
    with reading(engine) as connection:
        return connection.execute(
            select(online_requests.c.answer).where(online_requests.c.id == request_id)
        ).scalar_one_or_none()


def find_answers(engine: Engine, request_ids: Sequence[str]) -> dict[str, str]:
    """Return the answered ones among these requests, with their answers."""
    found: dict[str, str] = {}
    with reading(engine) as connection:
        for first in range(0, len(request_ids), _IDS_AT_ONCE):
            some = online_requests.c.id.in_(request_ids[first : first + _IDS_AT_ONCE])
            answered = select(online_requests.c.id, online_requests.c.answer).where(some)
            rows = connection.execute(answered.where(online_requests.c.answer.is_not(None)))
            found |= {row.id: row.answer for row in rows}
    return found


def forget_request(engine: Engine, request_id: str) -> None:
    """Delete a request with its answer."""
    with writing_lightly(engine) as connection:
        connection.execute(delete(online_requests).where(online_requests.c.id == request_id))


def forget_expired(engine: Engine) -> int:
    """Delete the requests whose API process died before it took the answer; return how many."""
    with reading(engine) as connection:
        is_over = online_requests.c.expires_at <= now_plus()
        if connection.execute(select(online_requests.c.id).where(is_over).limit(1)).first() is None:
            return 0
    with writing_lightly(engine) as connection:
        return connection.execute(delete(online_requests).where(is_over)).rowcount
